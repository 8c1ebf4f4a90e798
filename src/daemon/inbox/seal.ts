import { mkdirSync, read } from "node:fs"
import { type FileHandle, open, readdir, rename, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import { promisify } from "node:util"

const readAt = promisify(read)
const chunkBytes = 256 * 1024
const temporarySuffix = ".tmp"

/**
 * Copies the first `bytes` of an open file into `dir/name`, safe against a power cut. Doing it again
 * is harmless: a reader sees the whole segment or none. Throws the system's errors.
 */
export async function sealSegment(fd: number, bytes: number, dir: string, name: string): Promise<void> {
  const isNew = mkdirSync(dir, { recursive: true, mode: 0o700 }) !== undefined
  await removeLeftovers(dir)
  const temporary = join(dir, `.${name}${temporarySuffix}`)
  const target = await open(temporary, "w", 0o600)
  try {
    await copy(fd, bytes, target)
    await target.sync()
  } finally {
    await target.close()
  }
  await rename(temporary, join(dir, name))
  await syncDirectory(dir)
  if (isNew) await syncDirectory(dirname(dir))
}

async function copy(fd: number, bytes: number, target: FileHandle): Promise<void> {
  const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, bytes))
  for (let offset = 0; offset < bytes; ) {
    const { bytesRead } = await readAt(fd, chunk, 0, Math.min(chunk.length, bytes - offset), offset)
    if (bytesRead === 0) return
    await target.writeFile(chunk.subarray(0, bytesRead))
    offset += bytesRead
  }
}

/** What a crash left half sealed. */
async function removeLeftovers(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (name.endsWith(temporarySuffix)) await rm(join(dir, name), { force: true })
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
