import process from "node:process"

/** Returns milliseconds of the kernel's monotonic clock, which all processes share, unlike performance.now(). */
export function sharedNowMs() {
  return Number(process.hrtime.bigint()) / 1e6
}

/** @param {number} ms @returns {Promise<void>} */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/**
 * Waits until `isDone`; throws an error that names `what` on timeout.
 * @param {string} what
 * @param {() => boolean | Promise<boolean>} isDone
 * @param {{ timeoutMs?: number, everyMs?: number }} [options]
 */
export async function waitUntil(what, isDone, { timeoutMs = 20_000, everyMs = 10 } = {}) {
  const deadlineMs = performance.now() + timeoutMs
  while (!(await isDone())) {
    if (performance.now() > deadlineMs) throw new Error(`waited ${timeoutMs / 1000} s for ${what}`)
    await sleep(everyMs)
  }
}
