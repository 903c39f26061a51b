/** Load of each CPU from one call to the next. */
import { type CpuLoad, type CpuTimes, cpuLoads, readCpuTimes } from '../host/index.js'

export class LoadMeter {
  #before: CpuTimes[] = read()

  /** Since the call before, or since it was made. None where the machine does not tell. */
  take(): CpuLoad[] {
    const now = read()
    const loads = cpuLoads(this.#before, now)
    this.#before = now
    return loads
  }
}

function read(): CpuTimes[] {
  try {
    return readCpuTimes()
  } catch {
    // A container without /proc: a capture does not fail for want of a decoration.
    return []
  }
}
