"""What every filling of Platform must do; a test class per filling inherits it.

A filling gives the fixtures `platform`, `published` (the texts that are there, oldest first) and
`lose_answers` (from now on requests are carried out but not answered; None if that cannot be).
"""

from datetime import timedelta

import pytest

from botticelli.platforms.base import OutgoingMessage, Refused, Unconfirmed


def message(text="Hello", nonce="0123456789abcdef012345678", **more):
    return OutgoingMessage(text=text, nonce=nonce, **more)


class PlatformContract:
    def test_it_publishes_the_text_as_it_is(self, platform, published):
        text = "Grüße 🎨\n\n**bold** 'quoted'"

        receipt = platform.send(message(text))

        assert receipt.remote_id
        assert published() == [text]

    def test_the_same_nonce_soon_after_makes_no_second_message(self, platform, published):
        if not platform.idempotency_seconds:
            pytest.skip("this platform knows no nonce")
        first = platform.send(message())
        second = platform.send(message())

        assert first.remote_id == second.remote_id
        assert len(published()) == 1

    def test_preview_is_what_is_sent_and_sends_nothing(self, platform, published):
        *_, request = platform.preview(message("Look"))

        assert "Look" in str(request)
        assert {"method", "url"} <= set(request)
        assert published() == []

    def test_a_published_message_is_found(self, platform, clock):
        since = clock.now()
        receipt = platform.send(message("Find me"))

        looked = platform.find(message("Find me"), since=since)

        assert looked.receipt is not None
        assert looked.receipt.remote_id == receipt.remote_id
        assert looked.receipt.at is not None
        assert abs(looked.receipt.at - since) < timedelta(minutes=1)

    def test_what_is_not_there_is_not_found_with_certainty(self, platform, clock):
        since = clock.now()
        platform.send(message("Something else"))

        looked = platform.find(message("Find me", nonce="f" * 25), since=since)

        assert looked.receipt is None
        assert looked.certain

    def test_an_edit_replaces_the_text_and_may_be_repeated(self, platform, published):
        receipt = platform.send(message("teh text"))

        for _ in range(2):
            platform.edit(receipt.remote_id, message("the text"))

        assert published() == ["the text"]

    def test_an_edit_of_what_is_gone_is_refused(self, platform):
        receipt = platform.send(message())
        platform.delete(receipt.remote_id)

        with pytest.raises(Refused):
            platform.edit(receipt.remote_id, message("new"))

    def test_what_is_deleted_is_gone_and_may_be_deleted_again(self, platform, published):
        receipt = platform.send(message())

        for _ in range(2):
            platform.delete(receipt.remote_id)

        assert published() == []

    def test_a_platform_in_order_has_no_complaint(self, platform):
        assert list(platform.check()) == []

    def test_a_lost_answer_is_unconfirmed(self, platform, published, lose_answers):
        if lose_answers is None:
            pytest.skip("this platform answers always")
        lose_answers()

        with pytest.raises(Unconfirmed):
            platform.send(message())

        assert len(published()) == 1
