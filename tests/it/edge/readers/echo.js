// Node's own HTTP server: says what it read of each request, as JSON.
const server = require("http").createServer((request, response) => {
  const body = [];
  request.on("data", (chunk) => body.push(chunk));
  request.on("end", () => {
    const fields = [];
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      fields.push([request.rawHeaders[at].toLowerCase(), request.rawHeaders[at + 1]]);
    }
    const told = JSON.stringify({
      method: request.method,
      target: request.url,
      fields,
      trailers: request.rawTrailers,
      body: Buffer.concat(body).toString("latin1"),
      count: ++count,
    });
    response.end(told);
  });
});
let count = 0;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
