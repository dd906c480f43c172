from __future__ import annotations

from collections.abc import Sequence

import pytest

torch = pytest.importorskip("torch")

from riveg.vision.runtime.batches import Shortage, in_batches, note_shortages  # noqa: E402


def no_room() -> Exception:
    """What a processor's own allocator says: no memory is of that size."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    return caught.value


SHORTAGES = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
    "mps": RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)."),
    "cpu": no_room(),
}


@pytest.mark.parametrize("name", SHORTAGES)
def test_every_kind_of_shortage_halves_the_batch(name: str) -> None:
    tried: list[int] = []

    def double(batch: Sequence[int]) -> Sequence[int]:
        tried.append(len(batch))
        if len(batch) > 2:
            raise SHORTAGES[name]
        return [2 * item for item in batch]

    with note_shortages() as noted:
        assert list(in_batches(range(5), 8, double)) == [0, 2, 4, 6, 8]
    assert tried == [5, 2, 2, 1]
    assert [*noted.values()] == [Shortage(wanted=8, fitted=2)]


def test_what_is_no_shortage_is_raised() -> None:
    def fail(_: Sequence[int]) -> Sequence[int]:
        raise RuntimeError("shapes do not fit")

    with note_shortages() as noted, pytest.raises(RuntimeError, match="shapes"):
        list(in_batches(range(5), 8, fail))
    assert noted == {}


@pytest.mark.parametrize("name", SHORTAGES)
def test_what_does_not_fit_alone_is_raised(name: str) -> None:
    def fail(_: Sequence[int]) -> Sequence[int]:
        raise SHORTAGES[name]

    with pytest.raises(type(SHORTAGES[name])):
        list(in_batches(range(2), 8, fail))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_real_shortage_on_a_gpu_halves_the_batch() -> None:
    share = torch.cuda.mem_get_info()[0] // 3

    def held(batch: Sequence[int]) -> Sequence[int]:
        memory = torch.empty(len(batch) * share, dtype=torch.uint8, device="cuda")
        return [memory.numel() // len(batch)] * len(batch)

    with note_shortages() as noted:
        assert list(in_batches(range(8), 8, held)) == [share] * 8
    assert [*noted.values()] == [Shortage(wanted=8, fitted=2)]
