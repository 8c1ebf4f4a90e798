import { watch } from "node:fs"

/**
 * Calls back when something in `dir` changes. Never the only signal: where the system has no watches left it
 * says nothing at all.
 * @returns ends the watch
 */
export function watchDirectory(dir: string, onChange: () => void): () => void {
  try {
    const watcher = watch(dir, onChange).on("error", () => {})
    return () => watcher.close()
  } catch {
    return () => {}
  }
}
