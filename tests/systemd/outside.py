"""What lies outside of our units, as a program of the test machine: Discord, and a PostgreSQL.

The messages that Discord has are in /srv/messages.json, always up to date.
"""

import json
import time
from pathlib import Path

from botticelli.store.embedded.server import Embedded
from tests.database import HASTY
from tests.fakes.discord import FakeDiscord

TOKEN = "the-token-of-the-bot"
CHANNEL = "200000000000000001"
PORT = 8901
MESSAGES = Path("/srv/messages.json")

if __name__ == "__main__":
    server = Embedded(Path("/srv/postgres"), settings=(*HASTY, "listen_addresses=127.0.0.1"))
    server.ensure()
    with FakeDiscord(token=TOKEN, channel=CHANNEL, port=PORT) as discord:
        MESSAGES.write_text("[]")
        while True:
            MESSAGES.with_suffix(".new").write_text(json.dumps(discord.contents()))
            MESSAGES.with_suffix(".new").replace(MESSAGES)
            time.sleep(0.05)
