// One more file in a zip archive, stored as it is, with mode 0600. The archive has no comment and is no ZIP64: the server makes it so.
import { concat } from "./csr.js";

const end = 22; // octets of the end-of-central-directory record

export function addFile(archive, name, text) {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.length);
  const tail = archive.length - end;
  if (tail < 0 || view.getUint32(tail, true) !== 0x06054b50) throw new Error("not a zip archive");
  const count = view.getUint16(tail + 10, true);
  const size = view.getUint32(tail + 12, true);
  const directory = view.getUint32(tail + 16, true);

  const file = new TextEncoder().encode(name);
  const content = new TextEncoder().encode(text);
  const common = numbers([20, 2], [0x0800, 2], [0, 2], ...now(), [crc32(content), 4], [content.length, 4], [content.length, 4], [file.length, 2], [0, 2]);
  const local = concat(numbers([0x04034b50, 4]), common, file, content);
  // Made on Unix (3), so that the mode counts.
  const central = concat(
    numbers([0x02014b50, 4], [20 | (3 << 8), 2]), common, numbers([0, 2], [0, 2], [0, 2], [(0o100600 << 16) >>> 0, 4], [directory, 4]), file,
  );
  return concat(
    archive.slice(0, directory), local, archive.slice(directory, directory + size), central,
    numbers([0x06054b50, 4], [0, 2], [0, 2], [count + 1, 2], [count + 1, 2], [size + central.length, 4], [directory + local.length, 4], [0, 2]),
  );
}

// Numbers of so many octets, the least significant first.
function numbers(...pairs) {
  const all = [];
  for (const [value, octets] of pairs) {
    for (let i = 0; i < octets; i++) all.push((value >>> (8 * i)) & 0xff);
  }
  return new Uint8Array(all);
}

// The time and the date, as MS-DOS wrote them.
function now() {
  const t = new Date();
  return [
    [(t.getUTCHours() << 11) | (t.getUTCMinutes() << 5) | (t.getUTCSeconds() >> 1), 2],
    [((t.getUTCFullYear() - 1980) << 9) | ((t.getUTCMonth() + 1) << 5) | t.getUTCDate(), 2],
  ];
}

function crc32(octets) {
  let crc = 0xffffffff;
  for (const octet of octets) {
    crc ^= octet;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
