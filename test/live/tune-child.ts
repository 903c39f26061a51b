/** Tunes an interface and kills itself at one of the writes: `node tune-child.js INTERFACE NETNS DIRECTORY N before|after`. */
import { applyTuning } from '#src/host/apply-tuning.js'
import { tunedInterface } from '#src/host/tuning/journal.js'
import { openTuningAccess } from '#src/host/tuning/machine-access.js'
import { openKernel } from '#src/kernel/system.js'
import { journalFile } from '../support/journal-file.js'

const [name, netns, directory, at, when] = process.argv.slice(2) as [string, string, string, string, string]
const access = openTuningAccess(openKernel(), name, { netns })
let writes = 0
const die = () => process.kill(process.pid, 'SIGKILL')
const killed = {
  ...access,
  write(setting: Parameters<typeof access.write>[0]) {
    writes++
    if (writes === Number(at) && when === 'before') die()
    access.write(setting)
    if (writes === Number(at)) die()
  },
}
applyTuning(killed, journalFile(tunedInterface(access.facts(), access), directory), { cpus: [0, 1] })
