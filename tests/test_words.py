"""Word vectors: what they learn, the files they come in, and texts that are none."""

import gzip

import pytest
import torch
import torch.nn.functional as F

from genloom.cli.app import run
from genloom.data.tags.vectors import WordVectors, read_words
from genloom.errors import InputError
from genloom.use import words as module
from genloom.use.words import SkipGram, learn_words, nearest_words, pairs_of, read_text

TOPICS = ("abcdef", "uvwxyz")  # words that stand near each other, and never near those of the other


@pytest.fixture(autouse=True)
def _every_word(monkeypatch):
    monkeypatch.setattr(module, "FREQUENT", 1.0)  # of so few different words each is frequent


def two_topics(path, lines=400):
    generator = torch.Generator().manual_seed(0)
    rows = [[TOPICS[i % 2][k] for k in torch.randint(6, (8,), generator=generator).tolist()] for i in range(lines)]
    path.write_text("\n".join(" ".join(row) for row in rows))
    return path


def test_words_that_stand_near_each_other_become_alike(tmp_path):
    found = learn_words(read_text([two_topics(tmp_path / "t.txt")], 5), width=16, window=3, epochs=5)
    near = nearest_words(found.vectors, found, 6)
    for i, word in enumerate(found.words):
        topic = next(topic for topic in TOPICS if word in topic)
        assert {found.words[j] for j in near[i].tolist()} == set(topic)


def test_the_gradient_is_that_of_the_papers_objective(monkeypatch):
    torch.manual_seed(0)
    net, steps = SkipGram(torch.tensor([5, 4, 3, 2, 1, 1]), 4), []
    net.inner, net.outer = torch.randn(6, 4), torch.randn(6, 4)
    monkeypatch.setattr(SkipGram, "step", lambda self, vectors, seen, places, gradient: steps.append((places, gradient)))
    centre, other, drawn = torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5]), torch.randint(6, (module.SHARED,))
    monkeypatch.setattr(torch, "multinomial", lambda *given, **named: drawn)
    net.descend(centre, other)
    inner, outer = (each.double().requires_grad_() for each in (net.inner, net.outer))
    loss = 0.0
    for c, o in zip(centre.tolist(), other.tolist(), strict=True):
        loss = loss - F.logsigmoid(inner[c] @ outer[o])
        for d in drawn.tolist():
            if d != o:  # a word drawn at random that happens to be the near one says nothing
                loss = loss - module.NEGATIVE / module.SHARED * F.logsigmoid(-inner[c] @ outer[d])
    wanted = torch.autograd.grad(loss, [inner, outer])
    for (places, gradient), whole in zip(steps, wanted, strict=True):
        assert torch.allclose(torch.zeros(6, 4).index_add_(0, places, gradient), whole.float(), atol=1e-5)


def test_pairs_lie_within_a_window_and_a_sentence(tmp_path):
    (tmp_path / "t.txt").write_text("a b c\nd e\n" * 20)
    text = read_text([tmp_path / "t.txt"], 1)
    torch.manual_seed(0)
    centre, other = pairs_of(text, 1)
    seen = {(text.words[i], text.words[j]) for i, j in zip(centre.tolist(), other.tolist(), strict=True)}
    assert seen == {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"), ("d", "e"), ("e", "d")}
    assert len(pairs_of(text, 1000)[0]) <= 20 * (3 * 2 + 2)


def test_the_same_seed_gives_the_same_vectors_and_a_file_keeps_them(tmp_path):
    text = read_text([two_topics(tmp_path / "t.txt")], 5)
    a, b, c = (learn_words(text, width=8, epochs=1, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(a.vectors, b.vectors) and not torch.equal(a.vectors, c.vectors)
    a.write(tmp_path / "w.safetensors")
    back = read_words(tmp_path / "w.safetensors")
    assert back.words == a.words and torch.equal(back.vectors, a.vectors)


@pytest.mark.parametrize("head", ["", "2 3\n"])
def test_word2vec_text_is_read(tmp_path, head):
    (tmp_path / "w.txt").write_text(head + "dog 1 2 3\nnew_york -1 .5 1e-3\n")
    found = read_words(tmp_path / "w.txt")
    assert found.words == ("dog", "new_york")
    assert torch.allclose(found.vectors, torch.tensor([[1.0, 2, 3], [-1, 0.5, 1e-3]]))


def test_odd_words_of_word2vec_text(tmp_path):
    (tmp_path / "w.txt").write_text("3 2\nnew york 1 2\n\u0085 3 4\ndog\t5\t6\n")
    found = read_words(tmp_path / "w.txt")
    assert found.words == ("new_york", "\u0085", "dog") and found.vectors.tolist() == [[1, 2], [3, 4], [5, 6]]
    (tmp_path / "w.txt").write_text("dog 1 2\ncat 3 4\ndog 5 6\n")  # of a word that comes twice the first counts
    assert read_words(tmp_path / "w.txt").vectors.tolist() == [[1, 2], [3, 4]]


def test_a_packed_text_of_many_members_keeps_to_the_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("GENLOOM_LIMIT", "0.001")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"word " * 400_000) + gzip.compress(b"end"))
    with pytest.raises(InputError, match="--limit"):
        read_text([tmp_path / "b.gz"], 1)


def test_texts_tables_and_packed_texts(tmp_path):
    (tmp_path / "a.txt").write_text("photo.jpg#0\tA dog's Ball\n")  # behind the last tab
    (tmp_path / "b.gz").write_bytes(gzip.compress("ein Café\n".encode()))
    (tmp_path / "c.csv").write_text("file,tags,split\n1.png,ice cream;dog,train\n2.png,secret,test\n")
    text = read_text([tmp_path / name for name in ("a.txt", "b.gz", "c.csv")], 1)
    assert set(text.words) == {"a", "dog's", "ball", "ein", "café", "ice_cream", "dog"}


def bad_files(folder):
    (folder / "empty.txt").write_text("")
    (folder / "one.txt").write_text("word " * 100)
    (folder / "odd.txt").write_bytes(b"\xff\xfe\x00word")
    (folder / "cut.gz").write_bytes(gzip.compress(b"some words " * 100)[:40])
    two_topics(folder / "good.txt")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["empty.txt"], "holds no words"),
        (["one.txt"], "two are needed"),
        (["odd.txt"], "is no text in UTF-8"),
        (["cut.gz"], "cut.gz"),
        (["missing.txt"], "no text at"),
        ([], "needs a text"),
        (["good.txt", "--near", "zebra"], "no such word"),
        (["good.txt", "--width", "0"], "--width takes a number from 1 on"),
        (["good.txt", "-o", "words.bin"], "words.safetensors"),
    ],
)
def test_bad_input_of_words(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    bad_files(tmp_path)
    assert run(["words", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no word vectors"),
        ("dog 1 2\ncat 1\n", "'cat' has 1 numbers, and 2 are wanted"),
        ("dog 1 x\n", "no number"),
        ("dog 1 nan\n", "no number"),
        ("dog 0 0\ncat 0 0\n", "all zero"),
    ],
)
def test_bad_files_of_vectors(tmp_path, content, said):
    (tmp_path / "w.txt").write_text(content)
    with pytest.raises(InputError, match=said):
        read_words(tmp_path / "w.txt")
    (tmp_path / "w.safetensors").write_text(content)
    with pytest.raises(InputError):
        read_words(tmp_path / "w.safetensors")


def test_the_command_says_what_it_learnt(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    two_topics(tmp_path / "t.txt")
    assert run(["words", "t.txt", "-o", "w.safetensors", "--width", "16", "--epochs", "5", "--near", "a"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("a:"))
    assert set(line.split()[1:6]) == set("bcdef")
    assert isinstance(read_words(tmp_path / "w.safetensors"), WordVectors)
