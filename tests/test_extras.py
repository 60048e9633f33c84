import re

import pytest

from mtl_zoo.extras import check_installed


def test_what_is_there_passes():
    check_installed("json", "Reading needs", "export")


def test_what_is_missing_is_named_with_the_command_that_installs_it():
    command = re.escape("Reading needs the extra `export` of this package: pip install 'mtl-zoo[export]'.")
    with pytest.raises(ImportError, match=rf"{command} Received: No module named 'no_such_module'"):
        check_installed("no_such_module", "Reading needs", "export")
