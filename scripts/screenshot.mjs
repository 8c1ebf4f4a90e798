// `node scripts/screenshot.mjs`: builds, starts the demo, and writes doc/web.png, the picture of the page in README.md.
// Needs chromium. The picture is taken once the script of the demo has been played.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import process from "node:process"
import { setTimeout as sleep } from "node:timers/promises"
import { chromium } from "playwright-core"
import { root } from "./project.mjs"
import { fail } from "./run.mjs"

const playedMs = 16_000

const demo = spawn(process.execPath, [join(root, "dist", "bin", "agentchat.js"), "demo", "--port", "0"], {
  stdio: ["ignore", "pipe", "inherit"],
})
const ended = once(demo, "exit")
const [line] = await Promise.race([once(demo.stdout, "data"), ended.then(() => [""])])
const link = String(line).trim()
if (!link.startsWith("http://")) fail("the demo did not start", "build first: npm run build")

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
})
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, locale: "en-US" })
  await page.goto(link)
  await page.locator(".pill.live").waitFor()
  await sleep(playedMs)
  await page.screenshot({ path: join(root, "doc", "web.png") })
} finally {
  await browser.close()
  demo.kill("SIGINT")
  await ended
}
