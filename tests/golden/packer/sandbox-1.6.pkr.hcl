source "amazon-ebs" "image" {
  region = "eu-west-1"
  custom_endpoint_ec2     = "http://127.0.0.1:4566"
  skip_region_validation  = true
  skip_metadata_api_check = true

  ami_name        = "hello-ffffffffffffffffffffffffffffffff"
  ami_description = "baked by shipit for hello"
  source_ami      = "ami-0123456789abcdef0"
  instance_type   = "t3.small"

  communicator              = "ssh"
  ssh_username              = "root"
  ssh_interface             = "private_ip"
  ssh_timeout               = "10m"
  ssh_clear_authorized_keys = true
  temporary_key_pair_name   = "shipit-bake:hello:20261122T101500Z:31m:ci-7.0a1b2c3d:4711:9f3c2a01"
  shutdown_behavior         = "terminate"

  # Other bakes of the same image, and leftovers of killed ones, are found by these.
  run_tags = {
    "Name"               = "shipit bake hello"
    "shipit:app"         = "hello"
    "shipit:bake"        = "shipit-bake:hello:20261122T101500Z:31m:ci-7.0a1b2c3d:4711:9f3c2a01"
    "shipit:fingerprint" = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
  }
  run_volume_tags = {
    "shipit:app"  = "hello"
    "shipit:bake" = "shipit-bake:hello:20261122T101500Z:31m:ci-7.0a1b2c3d:4711:9f3c2a01"
  }
}

build {
  sources = ["source.amazon-ebs.image"]

  # The app's tree, its unit, its scripts and their variables.
  provisioner "file" {
    source      = "bundle.tar"
    destination = "/tmp/shipit-bake.tar"
  }

  provisioner "shell" {
    script          = "${path.root}/scripts/provision.sh"
    execute_command = "sh '{{ .Path }}' /tmp/shipit-bake.tar"
  }

  post-processor "manifest" {
    output     = "manifest.json"
    strip_path = true
  }
}
