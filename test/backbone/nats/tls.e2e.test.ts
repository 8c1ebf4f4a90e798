import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { describe, expect, it, onTestFinished } from "vitest"
import { NatsServer } from "../../kit/nats.js"
import { programPath } from "../../kit/program.js"
import { hasProgram } from "../../kit/requires.js"
import { temporaryDirectory } from "../../kit/temporary.js"

/** Creates a certificate authority, and a certificate of it for 127.0.0.1. */
function makeCertificate() {
  const dir = temporaryDirectory()
  const [key, certificate] = [join(dir, "key.pem"), join(dir, "certificate.pem")]
  const openssl = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
    ...["-subj", "/CN=nats", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
  ])
  expect(openssl.status, String(openssl.stderr)).toBe(0)
  return { key, certificate }
}

/** Starts a relay. @returns whether it listens, and its output */
async function serve(
  backbone: string,
  trusted: string | undefined,
): Promise<{ listens: boolean; output: string }> {
  const { NODE_EXTRA_CA_CERTS: _own, ...environment } = process.env
  const child = spawn(process.execPath, [programPath, "serve", "--port", "0", "--backbone", backbone], {
    env: { ...environment, ...(trusted !== undefined && { NODE_EXTRA_CA_CERTS: trusted }) },
    stdio: ["ignore", "pipe", "pipe"],
  })
  onTestFinished(() => void child.kill("SIGKILL"))
  let output = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output += text
  })
  for await (const line of createInterface({ input: child.stdout })) {
    if (/ws:\/\/\S+:\d+/.test(line)) return { listens: true, output }
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
  return { listens: false, output }
}

describe.skipIf(!hasProgram("nats-server") || !hasProgram("openssl"))("a relay over tls:// to NATS", () => {
  it("a relay trusts only a certificate of the authority in NODE_EXTRA_CA_CERTS", async () => {
    const { key, certificate } = makeCertificate()
    const config = `tls { cert_file: ${JSON.stringify(certificate)}, key_file: ${JSON.stringify(key)} }`
    const server = await NatsServer.start({ config })
    onTestFinished(() => server.dispose())
    const url = server.url.replace("nats://", "tls://")
    expect(await serve(url, certificate)).toMatchObject({ listens: true })
    const refused = await serve(url, undefined)
    expect(refused.listens).toBe(false)
    expect(refused.output).toContain(`no NATS at 127.0.0.1:${server.port}`)
  })
})
