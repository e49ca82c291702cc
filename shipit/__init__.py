"""shipit: immutable-image blue/green releases for web apps on EC2 behind an Application Load Balancer."""

__version__ = "0.1.0"
