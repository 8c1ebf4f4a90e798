import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

/** Returns the reachable bytes of this process: the JavaScript heap and Buffers. */
export function reachableBytes(): { readonly heap: number; readonly buffers: number } {
  collectGarbage()
  // V8 frees the memory of Buffers in another thread; the next collection waits for it.
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return { heap: heapUsed, buffers: arrayBuffers }
}
