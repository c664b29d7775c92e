#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A libtorrent seed or receiver for the benchmark.

    libtorrent_peer.py seed TORRENT DIR ADDRESS
    libtorrent_peer.py recv TORRENT DIR ADDRESS PEER-ADDRESS...

Prints {"event": "ready"}, waits for a line on standard input, connects to the peers named, prints
{"event": "done"} with the time when the last piece was verified, and uploads until SIGTERM.

The settings are libtorrent's own defaults with no limit on connections, without what a closed
network does not need (uTP, DHT, encryption, a slow spread of connection attempts). They were the
fastest of those tried: its high_performance_seed(), unlimited upload slots, four slots and
super-seeding all took as long or longer, with limited links as well as without.
"""
import datetime
import json
import signal
import sys

import libtorrent as lt

PORT = 6881


def settings(address):
    s = lt.default_settings()
    s.update({
        "listen_interfaces": f"{address}:{PORT}",
        "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "enable_outgoing_utp": False, "enable_incoming_utp": False,
        "out_enc_policy": 2, "in_enc_policy": 2,  # pe_disabled
        "connections_limit": 8000,
        "smooth_connects": False, "torrent_connect_boost": 255,
        "min_reconnect_time": 1, "max_failcount": 100,
        "seeding_outgoing_connections": True,
        "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification
        | lt.alert.category_t.storage_notification,
    })
    return s


def event(name, **more):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    print(json.dumps({"event": name, "time": now, **more}), flush=True)


def await_alert(session, kind):
    """Waits for an alert of a kind; an error is the end."""
    while True:
        session.wait_for_alert(1000)
        for a in session.pop_alerts():
            if isinstance(a, (lt.torrent_error_alert, lt.file_error_alert, lt.listen_failed_alert)):
                sys.exit(a.message())
            if isinstance(a, kind):
                return


def main(role, torrent, directory, address, *peers):
    session = lt.session(settings(address))
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = directory
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if role == "recv":  # the files are there, full of old bytes, and not worth a check
        params.have_pieces = [False] * params.ti.num_pieces()
    handle = session.add_torrent(params)
    handle.set_max_connections(-1)

    # The seed checks all it has here, before the time counts.
    await_alert(session, lt.torrent_finished_alert if role == "seed" else lt.torrent_checked_alert)
    event("ready")
    sys.stdin.readline()
    if role == "recv":
        for peer in peers:
            handle.connect_peer((peer, PORT))
        await_alert(session, lt.torrent_finished_alert)
        event("done")
    signal.sigwait({signal.SIGTERM})
    session.pause()
    handle.flush_cache()
    await_alert(session, lt.cache_flushed_alert)


if __name__ == "__main__":
    # Blocked before libtorrent's threads exist, so that sigwait is the one to see it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if len(sys.argv) < 5 or sys.argv[1] not in ("seed", "recv"):
        sys.exit("usage: libtorrent_peer.py seed|recv TORRENT DIR ADDRESS [PEER-ADDRESS...]")
    main(*sys.argv[1:])
