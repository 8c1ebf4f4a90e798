import { existsSync, readFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { describe, expect, it, onTestFinished } from "vitest"
import { until } from "../kit/condition.js"
import { RelayProcess } from "../kit/program.js"
import { hasAbility } from "../kit/requires.js"
import { Wire } from "../kit/wire.js"

const connections = 2_000
const beginningBytes = 60 * 1024
const mostMebibytes = 600
const testMs = 120_000

/** Returns the memory of a process in mebibytes. */
function residentMebibytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024
}

/** Upgrades, starts a long message and never finishes it. */
function besiege(port: number, start: Buffer): Promise<Socket> {
  const socket = connect(port, "127.0.0.1")
  const lines = ["GET / HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket"]
  const key = Buffer.alloc(16).toString("base64")
  const upgrade = [...lines, "Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${key}`, "", ""].join("\r\n")
  return new Promise((resolve) => {
    socket.on("error", () => resolve(socket))
    socket.on("close", () => resolve(socket))
    socket.on("connect", () => socket.write(upgrade))
    socket.once("data", () => {
      socket.resume()
      socket.write(start, () => resolve(socket))
    })
  })
}

// Only Linux shows the memory of another process.
const canLook = hasAbility("/proc", () => existsSync("/proc/self/status"))

describe.skipIf(!canLook)("a relay under siege", () => {
  it(
    "keeps its memory bounded and lets others talk",
    async () => {
      const relay = await RelayProcess.start()
      onTestFinished(() => relay.kill())
      const port = Number(new URL(relay.url).port)
      const header = Buffer.alloc(14)
      header.set([0x81, 0x80 | 127])
      header.writeBigUInt64BE(200n * 1024n, 2)
      const start = Buffer.concat([header, Buffer.alloc(beginningBytes, "x")])
      const sockets: Socket[] = []
      onTestFinished(() => {
        for (const socket of sockets) socket.destroy()
      })
      let most = 0
      for (let i = 0; i < connections; i++) {
        sockets.push(await besiege(port, start))
        if (i % 100 === 0) most = Math.max(most, residentMebibytes(relay.pid))
      }
      expect(Math.max(most, residentMebibytes(relay.pid))).toBeLessThan(mostMebibytes)
      const wire = await Wire.open(port)
      wire.say({ type: "IDENTIFY", name: "ann" }, { type: "JOIN", channel: "#general" })
      await wire.next("JOINED")
      expect(await wire.ask({ type: "MSG", to: "#general", content: "all is well" })).toMatchObject({
        type: "ACK",
      })
      await until("those who never said who they are to be cut", () => sockets.every(({ closed }) => closed))
      expect(residentMebibytes(relay.pid)).toBeLessThan(mostMebibytes)
    },
    testMs,
  )
})
