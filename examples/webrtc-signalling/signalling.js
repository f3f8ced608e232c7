// Connects the browsers of a room with each other. WebRTC leaves it to the application to carry offers and answers between
// browsers that do not know each other yet; here a pipe does that. What follows goes from browser to browser.

/** Each browser is connected with each other one, so a room cannot be large; who comes later is passed over. */
const PEERS_MAX = 16;
/** So long a connection may take to come about, and one that broke to come back. */
const RETRY_MS = 15_000;

/**
 * Joins a room. Every browser of the room gets a data channel to every other one.
 *
 * @param comet the connection that `connect` of encke.js made
 * @param room 1 to 40 letters, digits, `_` and `-`; whoever knows the name may join
 * @param options `iceServers` as RTCPeerConnection takes them; `onOpen(id, channel)` and `onClose(id)` for each other browser
 * @returns a promise of a function that leaves the room
 */
export async function join(comet, room, { iceServers = [], onOpen, onClose }) {
  const pipe = `web_call_${room}`;
  const me = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const peers = new Map();
  let links = 0;

  /** To one browser of the room, or to all without `to`. What is lost with the connection is said again after a gap. */
  const tell = (message) => comet.publish(pipe, { from: me, ...message }, { event: "signal" }).catch(() => {});

  function meet(id) {
    const connection = new RTCPeerConnection({ iceServers });
    // Both sides make it with the same number, so it does not matter who begins.
    const channel = connection.createDataChannel("room", { negotiated: true, id: 0 });
    // `mine` and `theirs` number the attempts of both sides: a late answer to an earlier attempt must not count for this one.
    // When both offer at the same time, one of them has to give way.
    const peer = { connection, mine: ++links, theirs: undefined, givesWay: me < id, isOffering: false, isIgnoring: false };
    peers.set(id, peer);
    peer.tell = (message) => tell({ to: id, mine: peer.mine, theirs: peer.theirs, ...message });
    channel.onopen = () => onOpen(id, channel);
    channel.onclose = () => part(id, peer);
    connection.onconnectionstatechange = () => {
      if (connection.connectionState !== "failed") return;
      connection.restartIce();
      watch(id, peer);
    };
    connection.onicecandidate = ({ candidate }) => candidate && peer.tell({ candidate });
    connection.onnegotiationneeded = async () => {
      peer.isOffering = true;
      await connection.setLocalDescription().catch(() => {});
      peer.isOffering = false;
      if (connection.localDescription) peer.tell({ description: connection.localDescription });
    };
    watch(id, peer);
    return peer;
  }

  /** Signals may cross in ways that leave both sides waiting for each other: then this one asks to be met again, not at the same moment. */
  function watch(id, peer) {
    clearTimeout(peer.watched);
    peer.watched = setTimeout(() => {
      if (peers.get(id) !== peer || isConnected(peer)) return;
      part(id, peer);
      tell({ hello: true });
    }, RETRY_MS * (1 + Math.random()) / 2);
  }

  function part(id, peer) {
    if (peers.get(id) !== peer) return;
    peers.delete(id);
    clearTimeout(peer.watched);
    peer.connection.close();
    onClose(id);
  }

  const isConnected = (peer) => peer.connection.connectionState === "connected";

  /** Somebody came, or came back. The answer to that is an offer. */
  function greet(id) {
    const known = peers.get(id);
    if (known && isConnected(known)) return;
    if (known) part(id, known);
    if (peers.size < PEERS_MAX) meet(id);
  }

  /** After a gap others may have come, and signals are lost; those who are connected already notice nothing. */
  function greetAll() {
    for (const [id, peer] of peers) if (!isConnected(peer)) part(id, peer);
    return tell({ hello: true });
  }

  async function hear(id, { mine: theirs, theirs: mine, description, candidate }) {
    const isOffer = description?.type === "offer";
    let peer = peers.get(id);
    // The other side has begun anew, so this side does too.
    if (peer?.theirs !== undefined && peer.theirs !== theirs && isOffer) {
      part(id, peer);
      peer = undefined;
    }
    if (!peer && isOffer && peers.size < PEERS_MAX) peer = meet(id);
    if (!peer || (mine !== undefined && mine !== peer.mine)) return;
    peer.theirs ??= theirs;
    if (peer.theirs !== theirs) return;
    const { connection } = peer;
    if (description) {
      const collides = isOffer && (peer.isOffering || connection.signalingState !== "stable");
      peer.isIgnoring = collides && !peer.givesWay;
      if (peer.isIgnoring) return;
      await connection.setRemoteDescription(description);
      if (isOffer) {
        await connection.setLocalDescription();
        peer.tell({ description: connection.localDescription });
      }
    } else if (candidate) {
      // Those of an offer that was ignored belong to nothing.
      await connection.addIceCandidate(candidate).catch((error) => peer.isIgnoring || console.warn(error));
    }
  }

  // Anybody may write into the pipe, so nothing is taken on trust: what is no signal is passed over.
  const receive = ({ data }) => {
    if (typeof data?.from !== "string" || data.from === me) return;
    if (data.hello) greet(data.from);
    else if (data.to === me) hear(data.from, data).catch((error) => console.warn(error));
  };
  const subscription = await comet.subscribe(`${pipe}.signal`, receive, { gap: greetAll });
  await greetAll();
  return () => {
    subscription.unsubscribe();
    for (const [id, peer] of peers) part(id, peer);
  };
}
