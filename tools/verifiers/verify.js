// Reads callbacks as JSON lines; for each writes what the Standard Webhooks library says.
// NODE_PATH names the folder where the library is.
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

const lines = require("fs").readFileSync(0, "utf8").split("\n").filter((line) => line !== "");
for (const call of lines.map((line) => JSON.parse(line))) {
  const webhook = new Webhook(call.secret);
  const headers = {};
  for (const name of ["id", "timestamp", "signature"]) headers[`webhook-${name}`] = call[name];
  let good = true;
  try {
    webhook.verify(call.payload, headers, { jsonParse: false });
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    good = false;
  }
  const signature = webhook.sign(call.id, new Date(Number(call.timestamp) * 1000), call.payload);
  console.log(JSON.stringify({ good, signature }));
}
