"""Links, external data, virtual datasets and plugins: nothing is followed out of the file or loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.hdf5_reading import read_rows, written

from datascan.backends import hdf5_catalog, hdf5_describe
from datascan.backends.base import Table
from datascan.backends.hdf5_store import Hdf5Store


def test_datasets_of_any_depth_are_listed_once_in_file_order(tmp_path: Path) -> None:
    with written(tmp_path / "l.h5") as file:
        for path in ("b/deep/er/x", "a", "b/a", "c/x"):
            file[path] = np.arange(3)
        file["hard"] = file["b/a"]
        file["z_soft"] = h5py.SoftLink("/c/x")
    with Hdf5Store(tmp_path / "l.h5") as store:
        assert [info.path for info in store.datasets()] == ["/a", "/b/deep/er/x", "/hard", "/z_soft"]
        assert store.opening_damage() == []
        assert read_rows(store, [Table("t", ("/z_soft",))]).array("/z_soft").tolist() == [0, 1, 2]


def test_circles_of_links_end(tmp_path: Path) -> None:
    with written(tmp_path / "c.h5") as file:
        file["g/x"] = np.arange(3)
        file["g/up"] = file["/"]
        file["g/self"] = file["g"]
        file["one"] = h5py.SoftLink("/two")
        file["two"] = h5py.SoftLink("/one")
        file["gone"] = h5py.SoftLink("/g/nothing")
    with Hdf5Store(tmp_path / "c.h5") as store:
        assert [info.path for info in store.datasets()] == ["/g/x"]
        assert {(d.kind, d.dataset) for d in store.opening_damage()} == {
            ("damaged", "/one"),
            ("damaged", "/two"),
            ("damaged", "/gone"),
        }


def test_deep_and_wide_files_are_bounded_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with written(tmp_path / "d.h5") as file:
        group = file
        for _ in range(120):
            group = group.create_group("g")
        group["x"] = 1
    with written(tmp_path / "w.h5") as file:
        for number in range(30):
            file[f"x{number:02}"] = number
    with Hdf5Store(tmp_path / "d.h5") as store:
        assert [(info.readable, "nested deeper" in info.reason) for info in store.datasets()] == [(False, True)]
    monkeypatch.setattr(hdf5_catalog, "MAX_OBJECTS", 20)
    with Hdf5Store(tmp_path / "w.h5") as store:
        listed = store.datasets()
    assert [info.readable for info in listed] == [True] * 20 + [False]
    assert "the rest is not listed" in listed[-1].reason


def test_external_links_are_named_and_never_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.h5")  # opening it would block for ever
    with written(tmp_path / "other.h5") as file:
        file["x"] = np.arange(3)
    with written(tmp_path / "e.h5") as file:
        file["mine"] = np.arange(3)
        file["other"] = h5py.ExternalLink("other.h5", "/x")
        file["fifo"] = h5py.ExternalLink("fifo.h5", "/x")
        file["detour"] = h5py.SoftLink("/other/x")
    with Hdf5Store(tmp_path / "e.h5") as store:
        assert [info.path for info in store.datasets()] == ["/mine"]
        external = {d.dataset: d.data["target"] for d in store.opening_damage() if d.kind == "external-reference"}
        assert external == {"/fifo": "fifo.h5:/x", "/other": "other.h5:/x"}
        assert [d.dataset for d in store.opening_damage() if d.kind == "damaged"] == ["/detour"]


def test_external_raw_storage_is_named_and_never_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with written(tmp_path / "raw.h5") as file:
        file.create_dataset("passwd", (10,), "u1", external=[("/etc/passwd", 0, 10)])
        file.create_dataset("fifo", (10,), "u1", external=[(str(tmp_path / "fifo"), 0, 10)])
    with Hdf5Store(tmp_path / "raw.h5") as store:
        assert {(d.kind, d.dataset, d.data["target"]) for d in store.opening_damage()} == {
            ("external-reference", "/passwd", "/etc/passwd"),
            ("external-reference", "/fifo", str(tmp_path / "fifo")),
        }
        assert [(info.readable, info.shape) for info in store.datasets()] == [(False, (10,))] * 2
        assert store.partitions() == []
        assert read_rows(store, [Table("t", ("/passwd",))]).batches == []


def test_virtual_datasets_never_open_their_sources(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.h5")
    with h5py.File(tmp_path / "v.h5", "w", libver="latest") as file:
        for name, source in (("outside", "fifo.h5"), ("inside", "."), ("lost", ".")):
            layout = h5py.VirtualLayout((4,), "i8", maxshape=(None,))
            path = "gone" if name == "lost" else "x"
            layout[:] = h5py.VirtualSource(source, path, (4,), maxshape=(None,))[:]
            if name != "outside":
                file.create_virtual_dataset(name, layout)
            else:
                file.create_virtual_dataset(name, layout, fillvalue=-1)
        file["x"] = np.arange(4)
    with Hdf5Store(tmp_path / "v.h5") as store:
        listed = {info.path: (info.readable, info.shape) for info in store.datasets()}
        assert listed == {
            "/inside": (False, None),
            "/lost": (False, None),
            "/outside": (False, None),
            "/x": (True, (4,)),
        }
        assert {(d.kind, d.dataset, d.data["target"]) for d in store.opening_damage()} == {
            ("external-reference", "/outside", "fifo.h5"),
            ("damaged", "/lost", "gone"),
        }
        reasons = {info.path: info.reason for info in store.datasets()}
        assert reasons["/inside"] == ""
        assert reasons["/outside"]


def test_what_is_no_column_says_why(tmp_path: Path) -> None:
    with written(tmp_path / "k.h5") as file:
        file["ref"] = np.array([file.ref], h5py.ref_dtype)
        file["type"] = np.dtype("f4")
        ragged = file.create_dataset("ragged", (2,), h5py.vlen_dtype(np.float32))
        ragged[0] = [1, 2, 3]
        file.create_dataset("words", data=[["a", "b"]], dtype=h5py.string_dtype())
        file["flag"] = np.array([True, False])
        file.create_dataset("enum", data=[0, 1], dtype=h5py.enum_dtype({"A": 0, "B": 1}))
        file["wave"] = np.array([1 + 2j])
    with Hdf5Store(tmp_path / "k.h5") as store:
        kinds = {info.path: (info.kind, info.readable) for info in store.datasets()}
        reasons = [info.reason for info in store.datasets() if not info.readable]
    assert kinds == {
        "/enum": ("enum", True),
        "/flag": ("bool", True),
        "/ragged": ("other", False),
        "/ref": ("other", False),
        "/wave": ("complex", True),
        "/words": ("text", False),
    }
    assert all(reasons)


def test_names_that_are_not_utf8_are_escaped_and_read(tmp_path: Path) -> None:
    with written(tmp_path / "n.h5") as file:
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"na\xefve", h5py.h5t.NATIVE_INT32, space).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.array([5, 6, 7], np.int32)
        )
    with Hdf5Store(tmp_path / "n.h5") as store:
        (info,) = store.datasets()
        assert info.path == "/na\\xefve"
        assert read_rows(store, [Table("t", (info.path,))]).array(info.path).tolist() == [5, 6, 7]


# ---- filters ----


def test_a_filter_of_hdf5plugin_is_used_where_it_is_installed(tmp_path: Path) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    with written(tmp_path / "z.h5") as file:
        file.create_dataset("x", data=np.arange(100), chunks=(10,), **hdf5plugin.Zstd())
    with Hdf5Store(tmp_path / "z.h5") as store:
        assert read_rows(store, [Table("t", ("/x",))]).array("/x").tolist() == list(range(100))


def test_a_missing_filter_is_named_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    with written(tmp_path / "z.h5") as file:
        file.create_dataset("x", data=np.arange(100), chunks=(10,), **hdf5plugin.Zstd())
    monkeypatch.setattr(hdf5_describe, "plugin_filters", frozenset)
    with Hdf5Store(tmp_path / "z.h5") as store:
        (info,) = store.datasets()
        assert (info.readable, info.shape) == (False, (100,))
        assert info.reason == 'needs filter 32015 (zstd), which is not there: pip install "datascan[hdf5plugin]"'
        assert store.opening_damage() == []
        assert store.partitions() == []


@pytest.mark.parametrize("first", ["", "import h5py; "])
def test_no_plugin_is_looked_for_in_a_folder(tmp_path: Path, first: str) -> None:
    """HDF5 tries every file of its plugin path when it meets a filter that it does not know: a FIFO blocks it."""
    with written(tmp_path / "f.h5") as file:
        file.create_dataset("x", data=np.arange(100), chunks=(10,), compression="gzip")
    content = (tmp_path / "f.h5").read_bytes()
    at = content.find(b"deflate")
    assert content[at - 8 : at - 6] == b"\x01\0"
    (tmp_path / "f.h5").write_bytes(content[: at - 8] + (999).to_bytes(2, "little") + content[at - 6 :])
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    os.mkfifo(plugins / "libevil.so")
    script = (
        f"import sys; {first}"
        "from datascan.backends.hdf5_store import Hdf5Store\n"
        "from datascan.backends.hdf5_library import h5py\n"
        "with Hdf5Store(sys.argv[1]) as store:\n"
        "    (info,) = store.datasets()\n"
        "    assert not info.readable and '999' in info.reason, info\n"
        "try:\n"
        "    h5py.File(sys.argv[1])['x'][:]\n"
        "except OSError:\n"
        "    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "f.h5")],
        env={**os.environ, "HDF5_PLUGIN_PATH": str(plugins)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "refused\n", done.stderr


def test_the_package_does_not_import_the_library() -> None:
    script = "import sys, datascan.backends; print([name for name in ('h5py', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
