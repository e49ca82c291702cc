"""The local AWS: real instances, a real load balancer, real images, behind the AWS wire protocol on loopback."""
