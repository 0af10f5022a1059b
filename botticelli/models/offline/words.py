"""The words of the offline model: sample text that nobody can take for a post.

Latin without a meaning, as printers set it where the text is still to come. There are enough words
for texts that do not count as repeats of each other (config.curation.Similarity).
"""

from collections.abc import Mapping
from typing import Final

FILLER: Final = "Filler text"  # how every text of the offline model begins

LATIN: Final = """
    lorem ipsum dolor sit amet consectetur adipiscing elit sed eiusmod tempor incididunt labore
    dolore magna aliqua enim minim veniam quis nostrud exercitation ullamco laboris nisi aliquip
    commodo consequat duis aute irure reprehenderit voluptate velit esse cillum fugiat nulla
    pariatur excepteur sint occaecat cupidatat non proident sunt culpa officia deserunt mollit
    anim laborum perspiciatis unde omnis iste natus error accusantium doloremque laudantium totam
    rem aperiam eaque ipsa quae inventore veritatis quasi architecto beatae vitae dicta explicabo
    nemo ipsam quia voluptas aspernatur odit fugit consequuntur magni ratione sequi nesciunt neque
    porro quisquam dolorem adipisci numquam eius modi tempora incidunt magnam quaerat minima
    nostrum ullam corporis suscipit laboriosam aliquid commodi autem vel eum iure quam nihil
    molestiae illum quo vero accusamus iusto odio dignissimos ducimus blanditiis praesentium
    deleniti atque corrupti quos dolores quas molestias excepturi similique mollitia animi harum
    quidem rerum facilis expedita distinctio nam libero tempore cum soluta nobis eligendi optio
    cumque impedit minus quod maxime placeat facere possimus assumenda repellendus temporibus
    quibusdam officiis debitis necessitatibus saepe eveniet voluptates repudiandae recusandae
    itaque earum hic tenetur sapiente delectus reiciendis voluptatibus maiores alias perferendis
    doloribus asperiores repellat
""".split()  # noqa: SIM905 - a list of 200 strings is no better to read

KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "feature": ("feature", "introduces", "capability"),
    "usecase": ("usecase", "use case", "situation", "scenario"),
    "tutorial": ("tutorial", "teach", "step by step", "how-to", "how to"),
    "community": ("conversation", "among members", "community question", "discussion"),
    "problem_solution": ("problem", "solution", "way out", "pain"),
}
