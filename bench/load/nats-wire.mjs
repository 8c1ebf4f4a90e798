import { openStream } from "../kit/web-socket.mjs"

const subject = "bench"
const letterM = 0x4d
const newline = 0x0a

/** The protocol of nats-server: lines, and a payload after each MSG line. @type {import("./wires.mjs").Wire} */
export const nats = {
  async publish(port) {
    const stream = await openStream(port)
    const scanner = new NatsScanner(stream.socket)
    stream.onBytes = (chunk, length) => scanner.push(chunk, length)
    stream.socket.write('CONNECT {"verbose":false}\r\n')
    return stream
  },
  async subscribe(port) {
    const stream = await openStream(port)
    const scanner = new NatsScanner(stream.socket)
    stream.onBytes = (chunk, length) => scanner.push(chunk, length)
    stream.socket.write(`CONNECT {"verbose":false}\r\nSUB ${subject} 1\r\nPING\r\n`)
    await new Promise((resolve) => {
      scanner.onPong = resolve
    })
    return Object.assign(stream, { scanner })
  },
  template(contentBytes, serial) {
    const head = `PUB ${subject} ${contentBytes}\r\n`
    const bytes = Buffer.from(`${head}${serial.padEnd(contentBytes, "x")}\r\n`)
    return { bytes, digitsAt: head.length, mask: Buffer.alloc(4) }
  },
}

class NatsScanner {
  messages = 0
  /** @type {(value: unknown) => void} */
  onPong = () => {}
  #socket
  #line = ""
  #left = 0

  /** @param {import("node:net").Socket} socket */
  constructor(socket) {
    this.#socket = socket
  }

  /** @param {Buffer} chunk @param {number} length */
  push(chunk, length) {
    let at = 0
    while (at < length) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, length - at)
        this.#left -= taken
        at += taken
      } else at = this.#readLine(chunk, at, length)
    }
  }

  /** @param {Buffer} chunk @param {number} at @param {number} length */
  #readLine(chunk, at, length) {
    const found = chunk.indexOf(newline, at)
    const end = found < 0 || found >= length ? length : found + 1
    if (this.#line === "" && chunk[at] === letterM && end === found + 1) {
      this.#beginPayload(readSize(chunk, end))
      return end
    }
    this.#line += chunk.toString("latin1", at, end)
    if (end !== found + 1) return end
    const line = this.#line
    this.#line = ""
    if (line.startsWith("MSG")) this.#beginPayload(Number(line.slice(line.lastIndexOf(" "))))
    else if (line === "PING\r\n") this.#socket.write("PONG\r\n")
    else if (line === "PONG\r\n") this.onPong(undefined)
    return end
  }

  /** @param {number} size */
  #beginPayload(size) {
    this.messages++
    this.#left = size + 2
  }
}

/** Parses the number before the line end at `end`. @param {Buffer} chunk @param {number} end */
function readSize(chunk, end) {
  let size = 0
  for (let at = end - 3, unit = 1; ; at--, unit *= 10) {
    const digit = (chunk[at] ?? 0) - 0x30
    if (digit < 0 || digit > 9) return size
    size += digit * unit
  }
}
