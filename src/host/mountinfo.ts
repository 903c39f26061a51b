/** /proc/PID/mountinfo (proc_pid_mountinfo(5)). Pure. */

export interface Mount {
  /** What of its file system is seen at the place: for most `/`, for a namespace that is mounted `net:[4026531840]`. */
  root: string
  place: string
  /** Of the mount, not of the file system: `ro`, `nosuid`. */
  options: string[]
  /** `cgroup2`, `sysfs`, `nsfs`. */
  type: string
  /** Of the file system: `cpu,cpuacct` for a hierarchy of cgroups. */
  superOptions: string[]
}

/** In the order of mounting: of several on one place the last is seen. */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [mount = '', file = ''] = line.split(' - ')
    const [, , , root, place, options = ''] = mount.split(' ')
    const [type = '', , superOptions = ''] = file.split(' ')
    if (root === undefined || place === undefined) return []
    return [{ root: unescaped(root), place: unescaped(place), options: options.split(','), type, superOptions: superOptions.split(',') }]
  })
}

/** mangle() of fs/proc_namespace.c: white space and backslashes are octal. */
function unescaped(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
