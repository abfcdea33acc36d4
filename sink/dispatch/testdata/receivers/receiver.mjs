// A receiver of webhooks in Node: Standard Webhooks' headers verified by their package, Maileroo's and NexoMailer's signatures by node:crypto.
// POST /FORMAT is answered with 200 when the delivery verifies and the same one with a changed byte does not, else with 400 and why. The secrets
// come from the environment. It prints its port, and ends with its standard input.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.STANDARD_SECRET);
const hexHeaders = { "/maileroo": "x-maileroo-signature", "/nexomailer": "x-nexomailer-signature" };

function verify(path, headers, body) {
  webhook.verify(body, headers);
  const name = hexHeaders[path];
  if (name === undefined) return;
  const expected = Buffer.from(createHmac("sha256", process.env.HEX_SECRET).update(body).digest("hex"));
  const got = Buffer.from(headers[name] ?? "");
  if (got.length !== expected.length || !timingSafeEqual(got, expected)) throw new Error(`wrong ${name}`);
}

function refuses(path, headers, body) {
  const changed = Buffer.from(body);
  changed[changed.length >> 1] ^= 1;
  try {
    verify(path, headers, changed);
  } catch {
    return true;
  }
  return false;
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  try {
    verify(request.url, request.headers, body);
    JSON.parse(body.toString());
    if (!refuses(request.url, request.headers, body)) throw new Error("a changed byte verifies");
    response.end();
  } catch (error) {
    console.error(`${request.url}: ${error.message}`);
    response.writeHead(400).end(error.message);
  }
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
