"""shipit sandbox …: the local AWS."""

import typer

app = typer.Typer(help="A local AWS with real instances, a real load balancer and real images.", no_args_is_help=True)
