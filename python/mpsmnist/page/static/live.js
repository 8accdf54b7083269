// The WebSocket to the server. It is opened anew when it is lost, as often as it takes.

export const token = new URLSearchParams(location.search).get("token");

const AGAIN = 1500; // milliseconds

// Whether there is a server, but one that this page's token is none of: a script cannot tell by a WebSocket.
const isRefused = () =>
  fetch(`?token=${encodeURIComponent(token)}`).then(({ status }) => status === 403, () => false);

export class Live {
  #socket = null;

  constructor(onMessage, onConnected) {
    this.onMessage = onMessage;
    this.onConnected = onConnected;
    this.#open();
  }

  #open() {
    const socket = new WebSocket(`ws://${location.host}/live?token=${encodeURIComponent(token)}`);
    socket.onopen = () => {
      this.#socket = socket;
      this.onConnected(true);
    };
    socket.onmessage = (event) => this.onMessage(JSON.parse(event.data));
    socket.onclose = async () => {
      const wasOpen = this.#socket === socket;
      this.#socket = null;
      this.onConnected(false, !wasOpen && await isRefused());
      setTimeout(() => this.#open(), AGAIN);
    };
  }

  // Tells whether it was sent: it is not while there is no server.
  send(message) {
    if (this.#socket === null) return false;
    this.#socket.send(message instanceof Uint8Array ? message : JSON.stringify(message));
    return true;
  }
}
