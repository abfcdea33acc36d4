// A listener in Node: the sink's stream of events as an EventEmitter. It needs nothing but Node 20. STREAM is the stream's URL, TOKEN a token of the tenant's (api_tokens).
// After a broken connection it goes on where it was. It ends with its standard input.
import { EventEmitter } from "node:events";
import { setTimeout } from "node:timers/promises";

class Tracker extends EventEmitter {
  #last = ""; // id of the last event that was handled

  // listen emits each event under its type until signal aborts.
  async listen(url, token, signal) {
    while (!signal.aborted) {
      try {
        await this.#connection(url, token, signal);
      } catch (error) {
        if (error instanceof Refused) throw error;
        if (!signal.aborted) console.error(`connection lost: ${error.message}`);
      }
      await setTimeout(2000, undefined, { signal }).catch(() => {});
    }
  }

  async #connection(url, token, signal) {
    const headers = { Authorization: `Bearer ${token}` };
    if (this.#last) headers["Last-Event-ID"] = this.#last;
    const response = await fetch(url, { headers, signal });
    if (response.status >= 400 && response.status < 500) throw new Refused(await response.text());
    if (!response.ok) throw new Error(await response.text());
    let message = {};
    for await (const line of lines(response.body)) {
      if (line !== "") {
        const colon = line.indexOf(": ");
        if (colon > 0) message[line.slice(0, colon)] = line.slice(colon + 2);
        continue;
      }
      if (message.data) this.emit(message.event, JSON.parse(message.data));
      if (message.id) this.#last = message.id; // not before the event was handled
      message = {};
    }
  }
}

class Refused extends Error {}

async function* lines(body) {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const all = (rest + text).split("\n");
    rest = all.pop();
    yield* all;
  }
}

const tracker = new Tracker();

tracker.on("email.opened", ({ data }) => {
  console.log(`${data.recipient} opened message ${data.message}`);
});
tracker.on("email.clicked", ({ data }) => {
  if (data.first?.includes("person")) console.log(`${data.recipient} clicked ${data.link.original ?? data.link.destination}`);
});
tracker.on("email.bounced", ({ data }) => {
  console.log(`message ${data.message} bounced: no more mails to ${data.recipient}`);
});
tracker.on("gap", ({ reason }) => console.error(`events may be missing: ${reason}`));

const end = new AbortController();
process.stdin.on("end", () => end.abort()).resume();
await tracker.listen(process.env.STREAM, process.env.TOKEN, end.signal);
