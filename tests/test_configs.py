"""Every config that is shipped: it loads, its model builds, its hooks are valid."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import mmseg_robust  # noqa: F401  # isort: skip
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from small_maps import made, random_maps

from mmseg_robust.corruptions.protocols import get_protocol
from mmseg_robust.models import find_stage_outputs

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    path.relative_to(ROOT / "configs").as_posix()
    for path in (ROOT / "configs").rglob("*.py")
    if "_base_" not in path.parts
)
METHOD_FILES = sorted(path.name for path in (ROOT / "configs/_base_/methods").glob("*.py"))
CLASSIFIERS = [name for name in CONFIGS if name.startswith("resnet/")]
# Of an auto-encoder; tests/models/autoencoders loads and builds them.
BLUR = [name for name in CONFIGS if name.startswith("linear_latent_blur/")]
SMALL = [name for name in CONFIGS if "mit-b0" in name]
METHODS = ("cwfa", "damp", "sam", "asam", "rigl", "static")  # in names: those with a hook


@pytest.fixture(autouse=True)
def scope():
    DefaultScope.get_instance("configs", scope_name="mmseg")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers keep the memory they got: of large models, first values take most of the time."""
    for layer in (torch.nn.Linear, torch.nn.modules.conv._ConvNd):
        monkeypatch.setattr(layer, "reset_parameters", lambda self: None)


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Config]:
    """Reads a config; frequency maps, which the user has to make, are small ones."""

    def read(name: str) -> Config:
        cfg = Config.fromfile(ROOT / "configs" / name)
        for view in cfg.model.get("views", {}).values():
            if view.type == "DominantFrequencies":
                view.maps = str(tmp_path / "maps.npz")
                made(random_maps(cfg.model.decode_head.num_classes, 16, 16)).save(view.maps)
        return cfg

    return read


def test_what_the_issue_names_is_there():
    assert "segformer_cwfa_cityscapes.py" in CONFIGS
    for variant in range(6):
        for data in ("cityscapes", "ade20k"):
            assert any(re.search(rf"mit-b{variant}-cwfa_.*{data}", name) for name in CONFIGS)
    for word in ("swin", "twins_svt", "twins_pcpvt", "-ft_", "camvid", "demo", "convnext"):
        assert any(word in name for name in CONFIGS), word


def test_the_model_index_lists_every_config():
    index = yaml.safe_load((ROOT / "model-index.yml").read_text())
    metafiles = [yaml.safe_load((ROOT / path).read_text()) for path in index["Import"]]
    listed = [model["Config"] for metafile in metafiles for model in metafile["Models"]]
    assert sorted(listed) == [f"configs/{name}" for name in CONFIGS]
    collections = [c["Name"] for metafile in metafiles for c in metafile.get("Collections", [])]
    named = {m.get("In Collection") for metafile in metafiles for m in metafile["Models"]}
    assert named - {None} == set(collections)


def test_the_camvid_metrics_are_those_of_the_records():
    """Means over three seeds, where a run of the series is the config as it stands."""
    results = ROOT / "docs/results/camvid"
    runs = json.loads((results / "series.json").read_text())["runs"]
    index = yaml.safe_load((ROOT / "configs/camvid/metafile.yaml").read_text())["Models"]
    stated = {model["Config"]: model["Results"][0]["Metrics"] for model in index}
    found = {}
    for run in (run for run in runs if "options" not in run):
        paths = (results / "runs").glob(f"{run['name']}.seed?.test.json")
        records = [json.loads(path.read_text()) for path in paths]
        if len(records) >= 3:
            found[run["config"]] = {
                "mIoU": round(mean(record["clean"]["mIoU"] for record in records), 1),
                "mIoU (cityscapes-c)": round(mean(r["summary"]["mean"] for r in records), 1),
            }
    assert found
    assert {config: own for config, own in stated.items() if own} == found


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in CLASSIFIERS + BLUR])
def test_loads_builds_and_finds_its_stages(name, load):
    if "convnext" in name:
        pytest.importorskip("mmpretrain")
    cfg = load(name)
    assert "mmseg_robust" in cfg.custom_imports["imports"]
    assert cfg.test_cfg.type == "RobustnessTestLoop"
    get_protocol(cfg.test_cfg.protocol)
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end
    model = MODELS.build(cfg.model)
    for hook in cfg.get("custom_hooks", []):
        built = HOOKS.build(hook)
        if hook.type == "CWFAHook":
            assert len(find_stage_outputs(model, built.stages, built.modules)) == 4
            assert built.window.resolve(cfg.train_cfg.max_iters)[0] < cfg.train_cfg.max_iters
    parts = re.split("[-_/]", name)
    assert len(cfg.get("custom_hooks", [])) == sum(part.startswith(METHODS) for part in parts)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_load_and_build(name, load):
    pytest.importorskip("mmpretrain.models")
    cfg = load(name)
    assert "mmseg_robust" in cfg.custom_imports["imports"]
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        assert type(MODELS.build(cfg.model)).__name__.endswith("ImageClassifier")
    hooks = [HOOKS.build(hook) for hook in cfg.get("custom_hooks", [])]
    assert len(hooks) == any(method in name for method in METHODS)
    if "imagenet-c" in name:
        assert cfg.test_cfg.type == "RobustnessTestLoop"
        assert get_protocol(cfg.test_cfg.protocol).acts == "after_crop"


@pytest.mark.parametrize("name", SMALL)
def test_small_ones_train_and_predict(name, load):
    cfg = load(name)
    cfg.model.data_preprocessor.size = (64, 64)
    cfg.model.decode_head.norm_cfg = dict(type="BN")
    model = MODELS.build(cfg.model)
    sample = SegDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64)))
    sample.gt_sem_seg = PixelData(data=torch.randint(0, 11, (1, 64, 64)))
    batch = dict(
        inputs=[torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)] * 2,
        data_samples=[sample] * 2,
    )
    losses = model(**model.data_preprocessor(batch, training=True), mode="loss")
    # The task's loss on the clean view or, where that is not computed, on the altered one.
    next(loss for key, loss in losses.items() if key.endswith("decode.loss_ce")).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    model.eval()
    with torch.no_grad():
        prediction = model.test_step(batch)[0].pred_sem_seg.data
    assert prediction.shape == (1, 64, 64)


@pytest.mark.parametrize(
    "base",
    [
        "mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py",
        "mmseg::convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py",
        "mmseg::mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024.py",
    ],
)
def test_method_files_collide_with_no_stock_config(tmp_path, base):
    """MMEngine refuses two bases with one key; ConvNeXt and Mask2Former have custom_imports."""
    for method in METHOD_FILES:
        child = tmp_path / "child.py"
        child.write_text(f"_base_ = ['{base}', 'mmseg_robust::_base_/methods/{method}']\n")
        cfg = Config.fromfile(child, import_custom_modules=False)
        assert isinstance(HOOKS.build(cfg.custom_hooks[0]), Hook)


@pytest.mark.parametrize("how", ["scope", "path"])
def test_inherits_from_a_folder_outside(tmp_path, how):
    name = "segformer/segformer_mit-b0-cwfa_8xb1-160k_cityscapes-1024x1024.py"
    base = f"mmseg_robust::{name}" if how == "scope" else str(ROOT / "configs" / name)
    child = tmp_path / "child.py"
    child.write_text(f"_base_ = ['{base}']\ncustom_hooks = [dict(type='CWFAHook', epsilon=4.0)]\n")
    cfg = Config.fromfile(child)
    assert cfg.custom_hooks == [dict(type="CWFAHook", epsilon=4.0)]
    assert cfg.model.backbone.type == "MixVisionTransformer"


def test_the_wrapper_is_used_by_inheritance_over_stock_keys(tmp_path):
    child = tmp_path / "child.py"
    child.write_text(
        "_base_ = ['mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py']\n"
        "model = dict(backbone=dict(type='CWFABackbone', wraps='MixVisionTransformer'))\n"
    )
    stock = MODELS.build(Config.fromfile(child).model)
    assert type(stock.backbone).__name__ == "MixVisionTransformer"
    assert stock.backbone.embed_dims == 32
