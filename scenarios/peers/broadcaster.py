"""A plain WebSocket broadcaster, as tutorials have it: one connection to the source, and what comes goes to everyone.

`python3 broadcaster.py --listen ADDRESS:PORT --upstreams ADDRESS:PORT ...`; needs `pip install websockets`.
"""

import argparse
import asyncio
import json

from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import WebSocketException

CLIENTS = set()


async def client(connection):
    await connection.send("Connected")
    try:
        async for _request in connection:
            # Everyone gets everything, from the first request on.
            CLIENTS.add(connection)
    except WebSocketException:
        pass
    finally:
        CLIENTS.discard(connection)


async def follow(upstreams, symbols):
    turn = 0
    while True:
        url = f"ws://{upstreams[turn % len(upstreams)]}/"
        turn += 1
        try:
            async with connect(url, compression=None, open_timeout=2) as source:
                await source.recv()
                await source.send(json.dumps({"userKey": "peer", "symbol": ",".join(symbols)}))
                async for message in source:
                    broadcast(CLIENTS, message)
        except (OSError, WebSocketException):
            pass
        await asyncio.sleep(0.2)


async def main():
    args = argparse.ArgumentParser()
    args.add_argument("--listen", required=True)
    args.add_argument("--upstreams", nargs="+", required=True)
    args.add_argument("--symbols", type=int, default=5)
    args = args.parse_args()
    host, port = args.listen.rsplit(":", 1)
    symbols = [f"S{number:04}" for number in range(args.symbols)]
    async with serve(client, host, int(port), compression=None):
        await follow(args.upstreams, symbols)


asyncio.run(main())
