// A P-256 key made by the browser, and a certificate signing request for it (PKCS#10, RFC 2986). The request says nothing but the public key: the names
// go beside it.

export async function newKey() {
  return crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
}

// PEM of the request.
export async function signingRequest(pair) {
  const key = new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
  const info = sequence(new Uint8Array([0x02, 0x01, 0x00]), sequence(), key, element(0xa0)); // version 0, no subject, no attributes
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, pair.privateKey, info);
  const withSHA256 = new Uint8Array([0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]); // ecdsa-with-SHA256 (RFC 5758, Section 3.2)
  return pem("CERTIFICATE REQUEST", sequence(info, sequence(withSHA256), element(0x03, new Uint8Array([0]), ecdsaSignature(new Uint8Array(signature)))));
}

// PEM of the private key, in PKCS#8.
export async function privateKey(pair) {
  return pem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)));
}

// The browser gives r and s side by side; X.509 wants a SEQUENCE of two INTEGERs (RFC 3279, Section 2.2.3).
function ecdsaSignature(raw) {
  return sequence(integer(raw.slice(0, 32)), integer(raw.slice(32)));
}

function integer(octets) {
  let from = 0;
  while (from < octets.length - 1 && octets[from] === 0) from++;
  const positive = octets[from] & 0x80 ? new Uint8Array([0]) : new Uint8Array();
  return element(0x02, positive, octets.slice(from));
}

function sequence(...parts) {
  return element(0x30, ...parts);
}

// One DER element; none here is longer than 65,535 octets.
function element(tag, ...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return concat(new Uint8Array(head), ...parts);
}

export function concat(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function pem(label, der) {
  const text = btoa(String.fromCharCode(...der)).replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${text}\n-----END ${label}-----\n`;
}
