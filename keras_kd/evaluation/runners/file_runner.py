"""What the runners of files share: what their one output is."""

from keras_kd.core.heads import Head
from keras_kd.core.output_kinds import settle
from keras_kd.evaluation.file_kinds import check_known


class FileRunner:
    """A file whose graph may leave open what its output is.

    Args:
        name: Name of the file.
        role: `"model"` or `"teacher"`, for error messages.
        head: What the file tells of its output.
        units: Size of the output's last axis, or None if unknown.
    """

    def __init__(
        self, name: str, role: str, head: Head, units: int | None
    ) -> None:
        self.name = name
        self.units = units
        self._role = role
        self._head = head
        self.settle(None)

    def settle(self, like: str | None) -> None:
        """Decide what the output is, if the file leaves it open."""
        self.kind = settle(self._head, self.units, [like]).kind

    def check(self) -> None:
        """Check that the kind of the output is known."""
        self.known_kind()

    def known_kind(self) -> str:
        """Return the kind of the output.

        Raises:
            ValueError: If it is unknown.
        """
        return check_known(self.kind, self.name, self._role)
