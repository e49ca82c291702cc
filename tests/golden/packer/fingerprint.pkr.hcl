source "amazon-ebs" "image" {
  region = "region"

  ami_name        = "image-name"
  ami_description = "baked by shipit for hello"
  source_ami      = "ami-0123456789abcdef0"
  instance_type   = "c7i.large"
  subnet_id = "subnet-0123456789abcdef0"
  security_group_ids = ["sg-0123456789abcdef0", "sg-0123456789abcdef1"]
  iam_instance_profile = "builder"
  associate_public_ip_address = true
  encrypt_boot = true
  kms_key_id = "alias/images"
  imds_support = "v2.0"
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  communicator              = "ssh"
  ssh_username              = "admin"
  ssh_interface             = "public_ip"
  ssh_timeout               = "10m"
  ssh_clear_authorized_keys = true
  temporary_key_pair_name   = "mark"
  temporary_key_pair_type   = "ed25519"
  shutdown_behavior         = "terminate"

  # Other bakes of the same image, and leftovers of killed ones, are found by these.
  run_tags = {
    "Name"               = "shipit bake hello"
    "shipit:app"         = "hello"
    "shipit:bake"        = "mark"
    "shipit:fingerprint" = "fingerprint"
  }
  run_volume_tags = {
    "shipit:app"  = "hello"
    "shipit:bake" = "mark"
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
