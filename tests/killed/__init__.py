"""Everything that flow control has in flight at once, and the engine is killed (T-KILL-ENGINE).

A *scene* is one subject: an async generator that sets something going and looks at it again after each kill. It says so by
`yield`: "all of mine is acknowledged, now kill". All scenes play at the same time on one *place*, so that a few kills meet
everything. The first two `yield`s are followed by a new life of the engine, the third by the end: from then on a scene has
only what the store holds.
"""

import pytest

pytest.register_assert_rewrite("tests.killed.scenes")
