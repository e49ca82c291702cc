"""The real Packer bakes an image in the sandbox, and the image boots."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipit.sandbox.state import State
from tests.sandbox.machines_of_tests import boot, wait_for_page

TEMPLATE = """
variable "endpoint" {}
variable "name" {}
source "amazon-ebs" "app" {
  region                      = "eu-west-1"
  access_key                  = "shipit-sandbox"
  secret_key                  = "shipit-sandbox"
  custom_endpoint_ec2         = var.endpoint
  skip_region_validation      = true
  skip_metadata_api_check     = true
  skip_credential_validation  = true
  instance_type               = "t3.small"
  ssh_username                = "admin"
  ssh_interface               = "public_ip"
  ami_name                    = var.name
  tags                        = { "shipit:app" = "hello" }
  snapshot_tags               = { "shipit:app" = "hello" }
  source_ami_filter {
    filters     = { name = "debian-12-amd64-*" }
    owners      = ["136693071363"]
    most_recent = true
  }
}
build {
  sources = ["source.amazon-ebs.app"]
  provisioner "file" {
    source      = "page.txt"
    destination = "/tmp/page.txt"
  }
  provisioner "shell" {
    inline = ["sudo mkdir -p /srv/app", "sudo cp /tmp/page.txt /srv/app/", "echo baked | sudo tee /srv/app/how"]
  }
}
"""


@pytest.mark.sandbox
@pytest.mark.skipif(shutil.which("packer") is None, reason="needs Packer")
def test_an_image_baked_by_packer_boots_with_what_was_baked(
    sandbox: State, client: Callable[[str], Any], tmp_path: Path
) -> None:
    (tmp_path / "app.pkr.hcl").write_text(TEMPLATE)
    (tmp_path / "page.txt").write_text("from Packer\n")
    command = ["packer", "build", "-color=false", "-var", f"endpoint={sandbox.endpoint_url}", "-var", "name=hello-v1"]
    quick = {"AWS_POLL_DELAY_SECONDS": "1", "CHECKPOINT_DISABLE": "1", "HOME": str(tmp_path)}
    done = subprocess.run(
        [*command, "app.pkr.hcl"], cwd=tmp_path, env=os.environ | quick, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr

    ec2 = client("ec2")
    (image,) = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["hello-v1"]}])["Images"]
    assert image["State"] == "available"
    assert {"Key": "shipit:app", "Value": "hello"} in image["Tags"]

    script = "#!/bin/sh\ncd /srv/app && exec setsid python3 -m http.server 8080 >/dev/null 2>&1 &\n"
    instance = boot(ec2, image["ImageId"], script)
    address = f"http://{instance['PrivateIpAddress']}:8080"
    wait_for_page(f"{address}/page.txt")
    with urllib.request.urlopen(f"{address}/page.txt") as page, urllib.request.urlopen(f"{address}/how") as how:
        assert (page.read(), how.read()) == (b"from Packer\n", b"baked\n")

    left = ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["Packer Builder"]}])["Reservations"]
    assert {one["State"]["Name"] for part in left for one in part["Instances"]} <= {"shutting-down", "terminated"}
    assert not [pair for pair in ec2.describe_key_pairs()["KeyPairs"] if pair["KeyName"].startswith("packer_")]
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
