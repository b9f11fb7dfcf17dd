"""The handshake as a state machine, and tokens: whatever is not exactly right is refused."""

from __future__ import annotations

import random

import pytest

from rain.common.errors import RainException
from rain.common.limits import POOL_SALT_BYTES
from rain.net import auth
from rain.net.auth import Certificate, Connecting, Credentials, Listening, WrongPeer, pool_key, pool_role

KEY = bytes(range(32))
OTHER = bytes(32)


def test_both_sides_agree_and_know_the_role():
    for role in auth.ROLES:
        ours, theirs = Connecting(role, KEY), Listening({role: KEY})
        assert theirs.check(ours.prove(theirs.answer(ours.opening))) == role


def test_sizes_are_fixed():
    ours, theirs = Connecting("client", KEY), Listening({"client": KEY})
    answer = theirs.answer(ours.opening)
    assert (len(ours.opening), len(answer), len(ours.prove(answer))) == (
        auth.OPENING_BYTES,
        auth.ANSWER_BYTES,
        auth.PROOF_BYTES,
    )


def test_a_wrong_key_is_noticed_by_the_connecting_side_before_it_proves_anything():
    ours, theirs = Connecting("client", OTHER), Listening({"client": KEY})
    with pytest.raises(WrongPeer, match="another key"):
        ours.prove(theirs.answer(ours.opening))


@pytest.mark.parametrize("keys", [{"governor": KEY}, {}, {"client": OTHER}])
def test_unknown_role_and_wrong_key_look_alike(keys):
    ours, theirs = Connecting("client", KEY), Listening(keys)
    answer = theirs.answer(ours.opening)
    assert len(answer) == auth.ANSWER_BYTES
    with pytest.raises(WrongPeer, match="another key"):
        ours.prove(answer)
    with pytest.raises(WrongPeer, match=r"^did not prove that it holds the key$"):
        theirs.check(bytes(auth.PROOF_BYTES))


def test_the_proof_of_the_listening_side_cannot_be_reflected():
    theirs = Listening({"client": KEY})
    answer = theirs.answer(Connecting("client", OTHER).opening)
    with pytest.raises(WrongPeer):
        theirs.check(answer[-auth.PROOF_BYTES :])


def test_a_whole_recorded_exchange_cannot_be_replayed():
    ours, theirs = Connecting("client", KEY), Listening({"client": KEY})
    proof = ours.prove(theirs.answer(ours.opening))
    again = Listening({"client": KEY})
    again.answer(ours.opening)
    with pytest.raises(WrongPeer):
        again.check(proof)


def test_an_answer_cannot_be_replayed_to_another_connection():
    first, theirs = Connecting("client", KEY), Listening({"client": KEY})
    answer = theirs.answer(first.opening)
    with pytest.raises(WrongPeer):
        Connecting("client", KEY).prove(answer)


def test_a_role_cannot_be_changed_on_the_way():
    keys = {"client": KEY, "governor": OTHER}
    ours, theirs = Connecting("client", KEY), Listening(keys)
    changed = bytearray(ours.opening)
    changed[6] = auth.ROLES["governor"]
    answer = theirs.answer(bytes(changed))
    with pytest.raises(WrongPeer):
        ours.prove(answer)


def test_somebody_in_the_middle_with_another_certificate_is_noticed():
    ours = Connecting("client", KEY, fingerprint=b"m" * 32)
    theirs = Listening({"client": KEY}, fingerprint=b"s" * 32)
    with pytest.raises(WrongPeer):
        ours.prove(theirs.answer(ours.opening))


def test_another_version_is_named():
    ours, theirs = Connecting("client", KEY), Listening({"client": KEY})
    answer = bytearray(theirs.answer(ours.opening))
    answer[4] = 99
    with pytest.raises(WrongPeer, match=r"version 99 .* install the same version"):
        ours.prove(bytes(answer))
    old = bytearray(ours.opening)
    old[4] = 99
    assert Listening({"client": KEY}).answer(bytes(old))[4] == auth.PROTOCOL_VERSION


def test_what_is_not_rain_is_said_so():
    with pytest.raises(WrongPeer, match="not a Rain server"):
        Connecting("client", KEY).prove(b"HTTP/1.1 400 Bad Request\r\n".ljust(auth.ANSWER_BYTES))
    with pytest.raises(WrongPeer, match="does not speak"):
        Listening({"client": KEY}).answer(b"GET / HTTP/1.1\r\n".ljust(auth.OPENING_BYTES))


def test_no_flipped_bit_gets_through():
    chance = random.Random(7)
    for _ in range(300):
        ours, theirs = Connecting("client", KEY), Listening({"client": KEY})
        said = [ours.opening, b"", b""]
        place = chance.randrange(3)

        def flip(data: bytes) -> bytes:
            changed = bytearray(data)
            changed[chance.choice([i for i in range(len(data)) if i != 7])] ^= 1 << chance.randrange(8)  # 7: padding
            return bytes(changed)

        with pytest.raises(WrongPeer):
            said[1] = theirs.answer(flip(said[0]) if place == 0 else said[0])
            said[2] = ours.prove(flip(said[1]) if place == 1 else said[1])
            theirs.check(flip(said[2]) if place == 2 else said[2])


# -- tokens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fingerprint", [b"", b"f" * 32])
def test_a_token_holds_one_role_and_the_fingerprint(fingerprint):
    credentials = Credentials.generate()
    credentials.fingerprint = fingerprint
    found = Credentials.from_token("  " + credentials.token("client") + "\n")
    assert found.keys == {"client": credentials.keys["client"]}
    assert found.fingerprint == fingerprint
    with pytest.raises(RainException, match="role governor is needed; the token given is for: client"):
        found.key("governor")


def test_damaged_tokens_are_refused_and_not_repeated():
    token = Credentials.generate().token("client")
    for damaged in (
        token[:-1],
        token[:20],
        token + "AAAA",
        token[:10] + ("A" if token[10] != "A" else "B") + token[11:],
    ):
        with pytest.raises(RainException, match="damaged") as caught:
            Credentials.from_token(damaged)
        assert damaged[7:] not in str(caught.value)
    with pytest.raises(RainException, match="not a Rain token"):
        Credentials.from_token("hunter2")


def test_keys_are_different_and_do_not_show():
    credentials = Credentials.generate()
    assert len(set(credentials.keys.values())) == len(auth.ROLES)
    credentials.certificate = Certificate.generate()
    for text in (repr(credentials), repr(credentials.certificate)):
        assert "PRIVATE" not in text
        assert not any(repr(key)[2:-1] in text for key in credentials.keys.values())


def test_certificates_make_contexts():
    certificate = Certificate.generate()
    assert len(certificate.fingerprint) == 32
    assert certificate.context().minimum_version.name == "TLSv1_3"


def test_governors_of_a_pool_have_a_key_of_their_own() -> None:
    server = Credentials.generate()
    client = Credentials({"client": server.keys["client"], "governor": server.keys["governor"]}, b"f" * 32)
    salt = b"s" * POOL_SALT_BYTES
    server.keys[pool_role(3)] = pool_key(server.keys["governor"], salt)
    governor = Credentials.from_token(client.of_pool(3, salt).token("governor"))
    assert (governor.pool, governor.fingerprint) == (3, b"f" * 32)
    assert governor.keys != {"governor": server.keys["governor"]}

    def admitted(key: bytes, number: int) -> str:
        ours, theirs = Connecting("governor", key, pool=number), Listening(server.keys)
        return theirs.check(ours.prove(theirs.answer(ours.opening)))

    assert admitted(governor.key("governor"), 3) == "governor"
    for number in (0, 4):
        with pytest.raises(WrongPeer, match="another key"):
            admitted(governor.key("governor"), number)
    del server.keys[pool_role(3)]
    with pytest.raises(WrongPeer, match="another key: its pool is over"):
        admitted(governor.key("governor"), 3)


def test_a_pool_s_number_opens_no_other_role() -> None:
    keys = {"client": KEY, "governor": KEY, pool_role(3): OTHER}
    theirs = Listening(keys)
    ours = Connecting("client", KEY, pool=3)
    with pytest.raises(WrongPeer):
        ours.prove(theirs.answer(ours.opening))


def test_a_client_without_the_governors_key_has_no_pools() -> None:
    with pytest.raises(RainException, match="a key for the role governor is needed"):
        Credentials({"client": KEY}).of_pool(1, b"s" * POOL_SALT_BYTES)


def test_a_damaged_token_of_a_pool_is_refused() -> None:
    token = Credentials({"governor": KEY}).of_pool(3, b"s" * POOL_SALT_BYTES).token("governor")
    for damaged in (token[:-3], token[:10] + ("A" if token[10] != "A" else "B") + token[11:]):
        with pytest.raises(RainException, match="damaged"):
            Credentials.from_token(damaged)
