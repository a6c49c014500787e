"""No events: on one machine the log tells."""

from skerry.adapters.objects.protocol import Object


class Silent:
    def tell(self, thing: Object, reason: str, message: str, *, warning: bool = False) -> None:
        pass
