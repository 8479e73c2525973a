"""One object that stands before another and answers for some of its names."""


class Overlay:
    """
    Answers as another object does, but for the names that are given.

    So an adversary swaps single verbs of a service (`say`, `release`) and leaves it whole.
    """

    def __init__(self, inner: object, **replaced: object) -> None:
        self._inner = inner
        self._replaced = replaced

    def __getattr__(self, name: str) -> object:
        """Return what stands for a name."""
        if name in self._replaced:
            return self._replaced[name]
        return getattr(self._inner, name)


def nothing(*_arguments: object) -> None:
    """Do nothing where something was asked."""
