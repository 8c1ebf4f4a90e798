// How publishers and subscribers talk to each server under test; everything else about them is the same.
import { Agent } from "../kit/agent.mjs"
import { maskedFrame, openWebSocket } from "../kit/web-socket.mjs"
import { nats } from "./nats-wire.mjs"

/** @typedef {import("../kit/web-socket.mjs").Stream} Stream */
/** @typedef {{ readonly messages: number }} Scanner */
/** @typedef {{ bytes: Buffer, digitsAt: number, mask: Buffer }} Template - a message whose serial number is filled in */

/**
 * @typedef {object} Wire
 * @property {(port: number, index: number) => Promise<Stream>} publish - a connection that may send
 * @property {(port: number, index: number) => Promise<Stream & { scanner: Scanner }>} subscribe - one that receives
 * @property {(contentBytes: number, serial: string) => Template} template
 */

const channel = "#bench"

/** This project's relay: one session each, messages with ids as daemons send them. @type {Wire} */
const agentchat = {
  async publish(port, index) {
    const agent = await Agent.open(port, `publisher-${index}`)
    if (index === 0) await agent.ask({ type: "CREATE_CHANNEL", channel })
    agent.stream.scanner.onText = undefined
    return agent.stream
  },
  async subscribe(port, index) {
    const agent = await Agent.open(port, `subscriber-${index}`)
    await agent.ask({ type: "JOIN", channel })
    agent.stream.scanner.onText = undefined
    return agent.stream
  },
  template(contentBytes, serial) {
    const message = { type: "MSG", id: serial, to: channel, content: "x".repeat(contentBytes) }
    return maskedTemplate(JSON.stringify(message), serial)
  },
}

/** The bare broadcast servers of bench/bare. @type {Wire} */
const bare = {
  publish: (port) => openWebSocket(port, "/pub"),
  subscribe: (port) => openWebSocket(port, "/sub"),
  template: (contentBytes, serial) => maskedTemplate(serial.padEnd(contentBytes, "x"), serial),
}

export const wires = { agentchat, bare, nats }

/** @param {string} text @param {string} serial @returns {Template} */
function maskedTemplate(text, serial) {
  const { bytes, mask, payloadAt } = maskedFrame(Buffer.from(text))
  const at = text.indexOf(serial)
  // The mask repeats every four bytes: rotate it to start at the digits.
  return {
    bytes,
    digitsAt: payloadAt + at,
    mask: Buffer.from([0, 1, 2, 3].map((i) => mask[(at + i) % 4] ?? 0)),
  }
}
