// The WebSocket to the server. It is opened anew when it is lost, as often as it takes.

export const token = new URLSearchParams(location.search).get("token");

const AGAIN = 1500; // milliseconds

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
    socket.onclose = () => {
      this.#socket = null;
      this.onConnected(false);
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
