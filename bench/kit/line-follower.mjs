import { closeSync, fstatSync, openSync, readSync, watch } from "node:fs"

const chunk = Buffer.allocUnsafe(256 * 1024)
const newline = 0x0a
/** Milliseconds between polls, in case the system drops a change event. */
const lookMs = 50

/** Follows a file like `tail -f`: emits each line appended after the start, and restarts when the file is truncated. */
export class LineFollower {
  /** @type {(line: string) => void} */
  onLine = () => {}
  #fd
  #offset
  #watcher
  #timer
  /** Bytes of an incomplete line. @type {Buffer[]} */
  #partial = []

  /** @param {string} path @param {import("./children.mjs").Defer} defer - registers its end */
  constructor(path, defer) {
    this.#fd = openSync(path, "r")
    this.#offset = fstatSync(this.#fd).size
    this.#watcher = watch(path, () => this.#read())
    this.#timer = setInterval(() => this.#read(), lookMs)
    defer(() => this.#close())
  }

  /** Resolves with the first line that contains `text`. @param {string} text @param {number} timeoutMs */
  find(text, timeoutMs) {
    return new Promise((resolve, reject) => {
      const impatience = setTimeout(() => reject(new Error(`${text} did not arrive`)), timeoutMs)
      this.onLine = (line) => {
        if (!line.includes(text)) return
        clearTimeout(impatience)
        resolve(line)
      }
    })
  }

  #read() {
    if (fstatSync(this.#fd).size < this.#offset) this.#offset = 0
    for (;;) {
      const length = readSync(this.#fd, chunk, 0, chunk.length, this.#offset)
      if (length === 0) return
      this.#offset += length
      this.#split(chunk.subarray(0, length))
    }
  }

  /** @param {Buffer} bytes */
  #split(bytes) {
    let start = 0
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
      const line = Buffer.concat([...this.#partial, bytes.subarray(start, end)]).toString()
      this.#partial = []
      start = end + 1
      this.onLine(line)
    }
    if (start < bytes.length) this.#partial.push(Buffer.from(bytes.subarray(start)))
  }

  #close() {
    clearInterval(this.#timer)
    this.#watcher.close()
    closeSync(this.#fd)
  }
}
