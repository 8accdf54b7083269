// Puts the parts of the page together: each gets the messages that concern it.

import { Live } from "./live.js";
import { Drawing } from "./drawing.js";
import { Look } from "./look.js";
import { Training } from "./training.js";

const connection = document.querySelector("#connection");

const live = new Live(
  (message) => {
    switch (message.type) {
      case "hello": return training.offer(message);
      case "status":
        training.show(message);
        drawing.watch(message);
        return look.watch(message);
      case "answer": return drawing.show(message);
      case "blank": return drawing.showBlank(message);
      case "look": return look.show(message);
      case "cell": return look.showCell(message);
      case "filters": return look.showFilters(message);
      case "error":
        switch (message.asked) {
          case "drawing": return drawing.fail(message.message);
          case "look": return look.fail(message.message);
          case "filters": return; // there is no network, as look and drawing say
          case "begin": return training.refuse(message.message);
          default: return training.complain(message.message);
        }
    }
  },
  (connected, refused) => {
    connection.textContent = connected ? ""
      : refused ? "Another server is here now: open the address that it has printed."
      : "No connection: the server has ended, or cannot be reached.";
    training.connected(connected);
    drawing.connected(connected);
    look.connected(connected);
  },
);
const training = new Training(live);
const drawing = new Drawing(live);
const look = new Look(live);
