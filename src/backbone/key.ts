import { ChatError } from "../protocol/errors.js"

const maxKeyLength = 64
const keyForm = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/

/** Most characters of an id that names an entry. */
const maxIdLength = 512

/**
 * Refuses what is no key: 1–64 letters, digits, `_` and `-`, with single dots between levels.
 * @throws {ChatError} INVALID_NAME
 */
export function checkKey(key: string): void {
  if (key.length > maxKeyLength || !keyForm.test(key)) {
    throw new ChatError(
      "INVALID_NAME",
      "a key of the store is 1–64 letters, digits, _ or -, with single dots",
    )
  }
}

/**
 * Refuses an id of an entry that is empty or longer than any that is made.
 * @throws {ChatError} INVALID_MSG
 */
export function checkEntryId(id: string): void {
  if (id === "" || id.length > maxIdLength) {
    throw new ChatError("INVALID_MSG", `the id of an entry is 1–${maxIdLength} characters`)
  }
}
