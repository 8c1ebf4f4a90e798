import { importBuilt } from "./built.mjs"
import { maskedFrame, openWebSocket } from "./web-socket.mjs"

/** @typedef {import("../../src/identity/signer.js").KeyPair} KeyPair */
/** @typedef {import("../../src/protocol/server-messages.js").ServerMessage} ServerMessage */
/** @typedef {import("../../src/protocol/client-messages.js").ClientFrame} ClientFrame */
/** @typedef {ServerMessage & { re?: string }} Answer */
/** @typedef {{ resolve: (answer: Answer) => void, reject: (error: Error) => void }} Waiting */

/** A session with a relay on a bare socket. */
export class Agent {
  /** The connection; `scanner.onText = undefined` makes it count and nothing else. */
  stream
  /** @type {Map<string, Waiting>} */
  #waiting = new Map()
  #asked = 0

  /** @param {import("./web-socket.mjs").WebSocketStream} stream */
  constructor(stream) {
    this.stream = stream
    stream.scanner.onText = (text) => this.#receive(JSON.parse(text))
    stream.socket.once("close", () => this.#fail(new Error("the relay closed the connection")))
  }

  /**
   * @param {number} port
   * @param {string} name
   * @param {KeyPair} [keyPair] - without one the identity is ephemeral
   */
  static async open(port, name, keyPair) {
    const agent = new Agent(await openWebSocket(port, "/"))
    if (keyPair === undefined) await agent.ask({ type: "IDENTIFY", name })
    else await agent.#prove(name, keyPair)
    return agent
  }

  /**
   * Sends a frame and waits for its answer; an ERROR rejects.
   * @param {ClientFrame} frame
   * @returns {Promise<Answer>}
   */
  ask(frame) {
    const id = `ask-${++this.#asked}`
    this.stream.socket.write(maskedFrame(Buffer.from(JSON.stringify({ ...frame, id }))).bytes)
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  /** @param {string} name @param {KeyPair} keyPair */
  async #prove(name, keyPair) {
    const { formatDidKey, signChallenge } = await loadIdentityRoom()
    const challenge = await this.ask({ type: "IDENTIFY", name, pubkey: formatDidKey(keyPair.publicKey) })
    if (challenge.type !== "CHALLENGE") throw new Error(`CHALLENGE expected, not ${challenge.type}`)
    const iat = Math.floor(Date.now() / 1000)
    const sig = signChallenge({ ...challenge, iat }, keyPair)
    await this.ask({ type: "VERIFY_IDENTITY", challenge_id: challenge.challenge_id, sig, iat })
  }

  /** @param {unknown} message */
  #receive(message) {
    const answer = /** @type {Answer} */ (message)
    if (answer.re === undefined) return
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

/** Signs as the client does; only proofs need it, and it only exists once the project is built. */
async function loadIdentityRoom() {
  const keys = /** @type {typeof import("../../src/identity/keys.js")} */ (
    await importBuilt("identity/keys.js")
  )
  const proofs = /** @type {typeof import("../../src/identity/auth-proof.js")} */ (
    await importBuilt("identity/auth-proof.js")
  )
  return { ...keys, ...proofs }
}
