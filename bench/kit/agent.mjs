import { importBuilt } from "./built.mjs"
import { maskedFrame, openWebSocket } from "./web-socket.mjs"

/** @typedef {import("../../src/identity/signer.js").KeyPair} KeyPair */
/** @typedef {import("../../src/protocol/server-messages.js").ServerMessage} ServerMessage */
/** @typedef {import("../../src/protocol/client-messages.js").ClientFrame} ClientFrame */
/** @typedef {ServerMessage & { re?: string }} Answer */
/** @typedef {{ resolve: (answer: Answer) => void, reject: (error: Error) => void }} Waiting */

/** A session with a relay over a bare socket. */
export class Agent {
  /** The connection; with `scanner.onText = undefined` it only counts messages. */
  stream
  /** The agent's id, once known. */
  id = ""
  /** Called with each message that is not an answer. @type {(text: string) => void} */
  onNews = () => {}
  /** @type {Map<string, Waiting>} */
  #waiting = new Map()
  #asked = 0

  /** @param {import("./web-socket.mjs").WebSocketStream} stream */
  constructor(stream) {
    this.stream = stream
    stream.scanner.onText = (text) => this.#receive(text)
    stream.socket.once("close", () => this.#fail(new Error("the relay closed the connection")))
  }

  /**
   * @param {number} port
   * @param {string} name
   * @param {KeyPair} [keyPair] - without one the identity is ephemeral
   * @param {(text: string) => void} [onNews] - called from the first message on
   */
  static async open(port, name, keyPair, onNews) {
    const agent = new Agent(await openWebSocket(port, "/"))
    if (onNews !== undefined) agent.onNews = onNews
    const welcome = await (keyPair === undefined
      ? agent.ask({ type: "IDENTIFY", name })
      : agent.#prove(name, keyPair))
    if (welcome.type === "WELCOME") agent.id = welcome.agent_id
    return agent
  }

  /** Sends a frame. @param {ClientFrame & { id?: string }} frame */
  send(frame) {
    this.stream.socket.write(maskedFrame(Buffer.from(JSON.stringify(frame))).bytes)
  }

  /** Ends the connection without a close handshake. @returns {Promise<void>} */
  close() {
    const { socket } = this.stream
    return new Promise((resolve) => {
      socket.once("close", () => resolve())
      socket.destroy()
    })
  }

  /**
   * Sends a frame and waits for its answer; an ERROR rejects.
   * @param {ClientFrame} frame
   * @returns {Promise<Answer>}
   */
  ask(frame) {
    const id = `ask-${++this.#asked}`
    this.send({ ...frame, id })
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  /** @param {string} name @param {KeyPair} keyPair */
  async #prove(name, keyPair) {
    const { formatDidKey, signChallenge } = await loadIdentityRoom()
    const challenge = await this.ask({ type: "IDENTIFY", name, pubkey: formatDidKey(keyPair.publicKey) })
    if (challenge.type !== "CHALLENGE") throw new Error(`CHALLENGE expected, not ${challenge.type}`)
    const iat = Math.floor(Date.now() / 1000)
    const sig = signChallenge({ ...challenge, iat }, keyPair)
    return this.ask({ type: "VERIFY_IDENTITY", challenge_id: challenge.challenge_id, sig, iat })
  }

  /** @param {string} text */
  #receive(text) {
    // Most messages are not answers: do not parse those.
    const answer = text.startsWith('{"type":"MSG"') ? undefined : /** @type {Answer} */ (JSON.parse(text))
    if (answer?.re === undefined || !this.#waiting.has(answer.re)) {
      this.onNews(text)
      return
    }
    const waiting = this.#waiting.get(answer.re)
    this.#waiting.delete(answer.re)
    if (answer.type === "ERROR") waiting?.reject(new Error(`${answer.code}: ${answer.message}`))
    else waiting?.resolve(answer)
  }

  /** @param {Error} error */
  #fail(error) {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

/** Signs as the client does. Loaded late: it exists only after a build. */
async function loadIdentityRoom() {
  const keys = /** @type {typeof import("../../src/identity/keys.js")} */ (
    await importBuilt("identity/keys.js")
  )
  const proofs = /** @type {typeof import("../../src/identity/auth-proof.js")} */ (
    await importBuilt("identity/auth-proof.js")
  )
  return { ...keys, ...proofs }
}
