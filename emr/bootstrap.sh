#!/usr/bin/env bash
# Set up a node of an EMR cluster for sparkprep. EMR (7.1 and later, and its releases of Spark 4) runs this on every node
# as a bootstrap action, as user hadoop, before it installs Spark.
#
#   bootstrap.sh PREFIX [--stop-after-hours N] [--index URL]
#
#   PREFIX                 s3://BUCKET/PREFIX, which `sparkprep emr stage` has filled
#   --stop-after-hours N   the primary node shuts itself down N hours after it has started, and the cluster ends with it
#   --index URL            a package index for what the wheelhouse lacks; still only what its hashes name. Default: none
#
# The node then has the environment /opt/sparkprep, of the wheels that the prefix holds and of nothing else, and in
# /opt/sparkprep/numba the kernels, compiled here by and for its own processor. Where anything fails, the last line says
# what, the code is not 0, and EMR takes the node for failed; an environment that was there before stays.
# A second run looks whether all is as it should be, and does only what is not.
set -Eeuo pipefail
shopt -s inherit_errexit
umask 022
# sudo and EMR start with short paths; dnf, aws and systemd-run lie in one of these.
export PATH="${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin" LC_ALL=C.UTF-8
unset PYTHONHOME PYTHONPATH NUMBA_CACHE_DIR
cd /

readonly ENVIRONMENT=/opt/sparkprep
readonly PYTHON=$ENVIRONMENT/bin/python
readonly KERNELS=$ENVIRONMENT/numba
readonly MARK=$ENVIRONMENT/.made-of
readonly BEFORE=/opt/.sparkprep-before
readonly INSTANCE=/mnt/var/lib/info/instance.json
readonly STOP=sparkprep-stop
readonly TRIES=4
readonly RETRY_SECONDS=${SPARKPREP_RETRY_SECONDS:-5}
readonly SPARE_MB=200 # for compiled modules and kernels

say() { printf '%s sparkprep: %s\n' "$(date -u +%FT%TZ)" "$*"; }

# Every end goes through `finish`, whose line is the last one. fail: say why, and end.
reason=""
fail() {
    reason=$*
    exit 1
}

finish() {
    local code=$?
    trap - ERR EXIT
    set +e
    [[ -z ${work:-} ]] || rm -rf -- "$work"
    if ((code)); then
        put_back
        say "FAILED after $SECONDS s: ${reason:-ended with code $code}" >&2
    fi
    exit "$code"
}

# What stood in the environment's place before this run, or one that was killed, began to replace it.
put_back() {
    [[ -e $BEFORE ]] || return 0
    sudo rm -rf -- "$ENVIRONMENT"
    sudo mv -T -- "$BEFORE" "$ENVIRONMENT"
    say "the environment that was there before is back in $ENVIRONMENT"
}

on_error() { reason=${reason:-"line $1: \`${2%%$'\n'*}\` ended with code $3"}; }
trap 'on_error "$LINENO" "$BASH_COMMAND" "$?"' ERR
trap finish EXIT
trap 'fail "it was told to end (SIGTERM)"' TERM
trap 'fail "it was told to end (SIGINT or SIGHUP)"' INT HUP

# Run a command up to TRIES times, waiting longer each time; what: what to say of it where it never succeeds.
retry() {
    local what=$1 try
    shift
    for ((try = 1; try <= TRIES; try++)); do
        if "$@"; then
            return 0
        fi
        if ((try < TRIES)); then
            say "$what (attempt $try of $TRIES); trying again in $((RETRY_SECONDS * try)) s" >&2
            sleep $((RETRY_SECONDS * try))
        fi
    done
    fail "$what, in $TRIES attempts; the lines above say why"
}

read_arguments() {
    prefix="" hours="" index=""
    while (($#)); do
        case $1 in
            --stop-after-hours | --index)
                (($# > 1)) || fail "$1: a value is missing behind it"
                if [[ $1 == --index ]]; then index=$2; else hours=$2; fi
                shift 2
                ;;
            -*) fail "$1 is no option; there are --stop-after-hours N and --index URL" ;;
            *)
                [[ -z $prefix ]] || fail "'$1' is one word too many behind '$prefix': put a prefix with blanks in quotes"
                prefix=${1%/}
                shift
                ;;
        esac
    done
    [[ $prefix =~ ^s3://[^/]+/. ]] || fail "'$prefix' is no s3://BUCKET/PREFIX: give the one that \`sparkprep emr stage\` filled"
    [[ -z $hours || $hours =~ ^[1-9][0-9]{0,3}$ ]] || fail "--stop-after-hours '$hours': give a whole number of hours, from 1 on"
    [[ -z $index || $index =~ ^(https?|file):// ]] || fail "--index '$index': give the URL of a package index"
    readonly prefix hours index
}

find_python() {
    if ! has_python; then
        say "no Python 3.11 with venv here; asking dnf for it"
        retry "Python 3.11 could not be installed by dnf" sudo dnf install -y -q python3.11 python3.11-pip
        has_python || fail "dnf has installed python3.11, and yet there is none with venv and ensurepip on PATH=$PATH"
    fi
    python=$(command -v python3.11)
    say "Python: $("$python" -I -c 'import platform; print(platform.python_version(), "on", platform.machine())') at $python"
}

has_python() { python3.11 -I -c 'import ensurepip, venv' >/dev/null 2>&1; }

# The primary node ends the cluster when it ends. Its timer is armed first: it must hold whatever becomes of the rest.
arm_stop() {
    [[ -n $hours ]] || return 0
    if grep -Eqs '"isMaster"[[:space:]]*:[[:space:]]*false' "$INSTANCE"; then
        say "not the primary node: it is not the one that stops the cluster"
        return 0
    fi
    grep -Eqs '"isMaster"[[:space:]]*:[[:space:]]*true' "$INSTANCE" ||
        fail "$INSTANCE does not say whether this is the primary node, which --stop-after-hours must know"
    sudo systemctl stop "$STOP.timer" >/dev/null 2>&1 || : # of an earlier run; there may be none
    sudo systemd-run --quiet --unit="$STOP" --on-boot="${hours}h" /sbin/shutdown -h now
    say "the primary node: it shuts down $hours h after its start, whatever runs then (timer $STOP)"
}

from_s3() {
    retry "$1 could not be copied" aws s3 cp --only-show-errors "$@"
}

# Run a check that tells its complaint in one line on stderr, and end with that line where it has one.
or_fail() {
    local failed=""
    "$@" 2>"$work/complaint" || failed=yes
    cat -- "$work/complaint" >&2
    [[ -z $failed ]] || fail "$(tail -n 1 -- "$work/complaint" | sed 's/^error: //')"
}

# Write to `sizes` the MB of the wheels, and of what they make; complain where they are for another kind of node.
look_at_manifest() {
    "$python" -I - "$work/wheelhouse.json" "$prefix" >"$work/sizes" <<'PYTHON'
import json
import math
import platform
import sys

path, prefix = sys.argv[1:]
try:
    with open(path) as file:
        manifest = json.load(file)
    python, machine = manifest["python"], manifest["machine"]
    sizes = [math.ceil(manifest[name] / 1e6) for name in ("bytes", "installed_bytes")]
except (ValueError, KeyError, TypeError) as error:
    sys.exit(f"{prefix}/wheelhouse/wheelhouse.json is no manifest of a wheelhouse ({error!r}): stage again")
here = f"{sys.version_info[0]}.{sys.version_info[1]}"
if (python, machine) != (here, platform.machine()):
    sys.exit(
        f"{prefix}/wheelhouse is for Python {python} on {machine}, and this node has Python {here} on "
        f"{platform.machine()}: choose instances of that kind, or stage wheels for this one"
    )
print(*sizes)
PYTHON
}

# Complain of a requirement without a wheel that this node can use: pip would say only that there is no such version.
look_at_wheels() {
    "$python" -I - "$work/wheelhouse" "$index" <<'PYTHON'
import os
import platform
import re
import sys

folder, index = sys.argv[1:]
names = sorted(os.listdir(folder))
major, minor = sys.version_info[:2]
machine, libc = platform.machine(), os.confstr("CS_GNU_LIBC_VERSION").split()[-1]
glibc = tuple(map(int, libc.split(".")[:2]))
node = f"Python {major}.{minor} on {machine} with glibc {libc}"
unversioned = ("any", *(f"{kind}_{machine}" for kind in ("linux", "manylinux1", "manylinux2010", "manylinux2014")))


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def fits_python(tag, abi):
    own = re.fullmatch(rf"(py|cp){major}(\d*)", tag)
    if own is None or int(own[2] or 0) > minor:
        return False
    return own[1] == "py" or abi in ("none", "abi3", f"cp{major}{minor}")


def fits_platform(tag):
    versioned = re.fullmatch(rf"manylinux_(\d+)_(\d+)_{machine}", tag)
    return tag in unversioned or (versioned is not None and (int(versioned[1]), int(versioned[2])) <= glibc)


def fits(wheel):
    tags, abis, platforms = (part.split(".") for part in wheel.removesuffix(".whl").split("-")[-3:])
    return any(fits_python(t, a) for t in tags for a in abis) and any(map(fits_platform, platforms))


def belongs(file, name, version):
    return canonical(file).startswith(f"{name}-{canonical(version)}-" if file.endswith(".whl") else f"{name}-")


for line in open(os.path.join(folder, "requirements.txt")):
    pin = re.match(r"([\w.-]+)==([^\s;\\]+)", line)
    if pin is None:
        continue
    name, version = canonical(pin[1]), pin[2]
    if name == "pyspark":
        sys.exit("the wheelhouse holds pyspark, which would take the place of the cluster's own Spark: stage again")
    files = [file for file in names if belongs(file, name, version)]
    wheels = [file for file in files if file.endswith(".whl")]
    if any(map(fits, wheels)) or (index and not files):
        continue
    if wheels:
        sys.exit(f"{wheels[0]} is not for this node, which has {node}: stage wheels for it")
    if files:
        sys.exit(f"{files[0]} is no wheel, and nothing is built on a node: stage a version of {name} that has one")
    sys.exit(f"{pin[1]}=={version} is named in requirements.txt, and the wheelhouse has no file of it: stage again")
PYTHON
}

check_space() {
    local wheels environment free_here free_there
    read -r wheels environment <"$work/sizes"
    environment=$((environment + SPARE_MB))
    free_here=$(free_mb "$work")
    free_there=$(free_mb /opt)
    if [[ $(stat -c %d -- "$work") == "$(stat -c %d /opt)" ]]; then
        environment=$((environment + wheels))
    elif ((free_here < wheels)); then
        fail "the disk of $work is full: $free_here MB are free there, and the wheels take $wheels MB"
    fi
    ((free_there >= environment)) ||
        fail "the disk of /opt is full: $free_there MB are free there, and the environment takes $environment MB;" \
            "choose a larger root volume"
}

free_mb() { df -Pm -- "$1" | awk 'NR == 2 { print $4 }'; }

# The mark is the last thing that is written, and the first that goes.
is_made_of() { [[ -f $MARK && $(<"$MARK") == "$1" ]]; }

make_environment() {
    if [[ -f $MARK ]]; then
        sudo mv -T -- "$ENVIRONMENT" "$BEFORE"
    fi
    sudo rm -rf -- "$ENVIRONMENT"
    say "making $ENVIRONMENT"
    sudo "$python" -I -m venv "$ENVIRONMENT"
    if [[ -n $index ]]; then
        retry "pip could not install the wheels" install_wheels --index-url "$index"
    elif ! install_wheels --no-index; then
        fail "pip could not install the wheels: $(grep -E 'ERROR|No space' -- "$work/pip.log" | tail -n 1)"
    fi
}

install_wheels() {
    sudo env PIP_CONFIG_FILE=/dev/null "$PYTHON" -I -m pip --isolated --disable-pip-version-check --no-input --quiet \
        install --root-user-action=ignore --no-cache-dir --no-compile --require-hashes --only-binary=:all: "$@" \
        --find-links "$work/wheelhouse" --requirement "$work/wheelhouse/requirements.txt" 2>&1 |
        tee -- "$work/pip.log"
}

# The users that executors, drivers and notebooks run as are all in group hadoop. What is compiled into this folder is
# code that they will run: so nobody else writes there, and who is not in the group works on a copy.
compile_kernels() {
    local group
    group=$(id -gn)
    if getent group hadoop >/dev/null; then
        group=hadoop
    fi
    sudo mkdir -p -- "$KERNELS"
    or_fail sudo "$PYTHON" -I -m sparkprep.startup.node compile
    sudo chgrp -R "$group" -- "$KERNELS"
    sudo chmod -R g+rwX,o+rX -- "$KERNELS"
    sudo find "$KERNELS" -type d -exec chmod g+s {} +
}

# As this user, who did not compile.
check_environment() { "$PYTHON" -I -m sparkprep.startup.node check; }

main() {
    local made_of
    read_arguments "$@"
    say "setting this node up from $prefix"
    put_back
    work=$(mktemp -d)
    arm_stop
    find_python
    command -v aws >/dev/null || fail "there is no command aws on PATH=$PATH"
    from_s3 "$prefix/wheelhouse/requirements.txt" "$work/requirements.txt"
    made_of="$(sha256sum <"$work/requirements.txt") $("$python" -I -c 'import sys; print(sys.version)' | tr '\n' ' ')"
    if is_made_of "$made_of"; then
        if check_environment; then
            say "done after $SECONDS s: $ENVIRONMENT is made of these wheels already"
            return
        fi
        say "$ENVIRONMENT is made of these wheels, and does not work: it is made anew"
    fi
    from_s3 "$prefix/wheelhouse/wheelhouse.json" "$work/wheelhouse.json"
    or_fail look_at_manifest
    check_space
    from_s3 "$prefix/wheelhouse/" "$work/wheelhouse/" --recursive
    cmp -s -- "$work/requirements.txt" "$work/wheelhouse/requirements.txt" ||
        fail "$prefix is just being staged anew: start when that is done"
    or_fail look_at_wheels
    say "$(find "$work/wheelhouse" -name '*.whl' | wc -l) wheels copied and looked at, after $SECONDS s"
    make_environment
    say "installed after $SECONDS s: $(sed -n 's/ --hash.*//p' "$work/requirements.txt" | tr '\n' ' ')"
    compile_kernels
    or_fail check_environment
    printf '%s' "$made_of" | sudo tee "$MARK" >/dev/null
    sudo rm -rf -- "$BEFORE"
    say "done after $SECONDS s: $PYTHON has sparkprep $("$PYTHON" -I -c 'import sparkprep; print(sparkprep.__version__)')"
}

main "$@"
