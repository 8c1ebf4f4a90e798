// A minimal WebSocket client, so that the measuring side costs less than the system under test.
import { randomBytes } from "node:crypto"
import { connect } from "node:net"
import { FrameScanner } from "./frame-scanner.mjs"

/** One read buffer for all sockets of the process: each chunk is consumed before the next read. */
const readBuffer = Buffer.allocUnsafe(256 * 1024)

const pongHead = 0x8a
const textHead = 0x81

/**
 * @typedef {object} Stream - a connection that delivers chunks
 * @property {import("node:net").Socket} socket
 * @property {(chunk: Buffer, length: number) => void} onBytes
 */

/** @typedef {Stream & { scanner: FrameScanner }} WebSocketStream */

/**
 * Connects over TCP. `onBytes` may be replaced at any time; the chunk is only valid during the call.
 * @param {number} port
 * @returns {Promise<Stream>}
 */
export function openStream(port) {
  return new Promise((resolve, reject) => {
    const onread = {
      buffer: readBuffer,
      /** @param {number} length @param {Uint8Array} buffer */
      callback(length, buffer) {
        stream.onBytes(/** @type {Buffer} */ (buffer), length)
        return true
      },
    }
    const socket = connect({ host: "127.0.0.1", port, noDelay: true, onread })
    /** @type {Stream} */
    const stream = { socket, onBytes: () => {} }
    socket.once("error", reject)
    socket.once("connect", () => {
      socket.off("error", reject)
      socket.on("error", () => socket.destroy())
      resolve(stream)
    })
  })
}

/**
 * Connects and upgrades to WebSocket; pings are answered.
 * @param {number} port
 * @param {string} path
 * @returns {Promise<WebSocketStream>}
 */
export async function openWebSocket(port, path) {
  const stream = await openStream(port)
  const scanner = new FrameScanner()
  scanner.onPing = (payload) => stream.socket.write(maskedFrame(payload, pongHead).bytes)
  const key = randomBytes(16).toString("base64")
  const request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`
  stream.socket.write(`${request}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`)
  await readResponse(stream, scanner)
  return Object.assign(stream, { scanner })
}

/**
 * Builds one client-to-server frame, which is always masked (RFC 6455 §5.3).
 * @param {Buffer} payload
 * @param {number} [firstByte]
 */
export function maskedFrame(payload, firstByte = textHead) {
  const head = frameHead(payload.length, firstByte)
  const mask = randomBytes(4)
  const bytes = Buffer.concat([head, mask, payload])
  const payloadAt = head.length + mask.length
  for (let i = 0; i < payload.length; i++) bytes[payloadAt + i] = (payload[i] ?? 0) ^ (mask[i % 4] ?? 0)
  return { bytes, mask, payloadAt }
}

/** @param {number} size @param {number} firstByte */
function frameHead(size, firstByte) {
  if (size < 126) return Buffer.from([firstByte, 0x80 | size])
  if (size > 0xffff) throw new Error("no benchmark sends frames of more than 64 KiB")
  return Buffer.from([firstByte, 0x80 | 126, size >> 8, size & 0xff])
}

/** @param {Stream} stream @param {FrameScanner} scanner @returns {Promise<void>} */
function readResponse(stream, scanner) {
  let head = Buffer.alloc(0)
  return new Promise((resolve, reject) => {
    stream.socket.once("close", () => reject(new Error("closed before the upgrade")))
    stream.onBytes = (chunk, length) => {
      head = Buffer.concat([head, chunk.subarray(0, length)])
      const end = head.indexOf("\r\n\r\n")
      if (end < 0) return
      if (!head.toString("latin1").startsWith("HTTP/1.1 101")) reject(new Error("upgrade refused"))
      stream.onBytes = (later, laterLength) => scanner.push(later, laterLength)
      scanner.push(head.subarray(end + 4))
      resolve()
    }
  })
}
