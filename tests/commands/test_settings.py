import pytest
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue

from fishcnn.commands.settings import as_settings, check_settings
from fishcnn.utils.checks import flag, optional, whole
from fishcnn.utils.errors import ArgumentError, FishError


def test_an_error_about_an_argument_names_the_setting_that_it_came_from() -> None:
    with pytest.raises(FishError) as prefixed, as_settings("data."):
        raise ArgumentError("balance", True, "choose one of none, sampler, loss")
    assert str(prefixed.value) == "data.balance=true: choose one of none, sampler, loss"
    with pytest.raises(FishError) as renamed, as_settings("data.", root="data_root"):
        raise ArgumentError("root", "fish", "is a file")
    assert str(renamed.value) == "data_root=fish: is a file"


def test_in_the_library_an_error_names_the_argument() -> None:
    assert str(ArgumentError("fold", None, "wanted 0 or more")) == "fold=null: wanted 0 or more"


def test_a_setting_is_checked_by_its_dotted_name() -> None:
    config = OmegaConf.create({"tta": 1, "data": {"workers": None, "fold": "???"}})
    check_settings(config, {"data.workers": optional(whole(1))})
    with pytest.raises(FishError, match=r"^model=null: choose one of cnn, timm, torchvision$"):
        check_settings(config, {"model.blocks": whole(1)})
    with pytest.raises(FishError, match=r"^data.seed is missing: leave out ~data.seed$"):
        check_settings(config, {"data.seed": whole(0)})
    with pytest.raises(FishError, match=r"^data.workers=null: must be a whole number, 1 or more$"):
        check_settings(config, {"data.workers": whole(1)})
    with pytest.raises(FishError, match=r"^tta=1: must be true or false$"):
        check_settings(config, {"tta": flag})
    with pytest.raises(MissingMandatoryValue):
        check_settings(config, {"data.fold": whole(0)})
