"""Says in a header which version answered, so that a canary can be watched from outside."""

from pathlib import Path

from datasette import hookimpl

VERSION = (Path(__file__).parents[1] / "VERSION").read_text().strip().encode()


@hookimpl
def asgi_wrapper():
    def wrap(app):
        async def with_version(scope, receive, send):
            async def sending(message):
                if message["type"] == "http.response.start":
                    message = {**message, "headers": [*message["headers"], (b"x-version", VERSION)]}
                await send(message)

            await app(scope, receive, sending)

        return with_version

    return wrap
