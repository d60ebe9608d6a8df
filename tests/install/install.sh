#!/usr/bin/env bash
# Installs a build of raddle in a fresh folder, then builds and runs a user's program against it: with
# find_package and with pkg-config, static and shared.
#
#     CC=cc tests/install/install.sh BUILD_FOLDER
set -eu
build=$1
here=$(cd -- "$(dirname -- "$0")" && pwd)
CC=${CC:-cc}

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
prefix=$work/prefix

cmake --install "$build" --prefix "$prefix" >"$work/install.log"
library=$(find "$prefix" -name libraddle.so)
libdir=${library%/*}
export PKG_CONFIG_PATH=$libdir/pkgconfig
# raddle::test, where raddle was built with Criterion.
tests=no
[ ! -e "$libdir/libraddle_test.a" ] || tests=yes

# expect shared|static PROGRAM: runs it, and looks whether it has the library in it or beside it.
expect() {
    local kind=$1 program=$2 needed
    needed=$(LC_ALL=C readelf -d "$program" | grep -c 'NEEDED.*libraddle\.so\.0\.1\]' || true)
    case $kind$needed in
    shared1 | static0) ;;
    *)
        echo "$program should be linked with the $kind library and is not"
        exit 1
        ;;
    esac
    LD_LIBRARY_PATH=$libdir "$program"
}

for kind in static shared; do
    shared=OFF
    [ $kind = static ] || shared=ON
    folder=$work/cmake-$kind
    cmake -G Ninja -S "$here" -B "$folder" "-DCMAKE_PREFIX_PATH=$prefix" "-DCMAKE_C_COMPILER=$CC" \
        -DBUILD_SHARED_LIBS=$shared -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >"$folder.log"
    cmake --build "$folder" >>"$folder.log"
    expect $kind "$folder/consumer"
    if [ "$tests" = yes ]; then
        expect $kind "$folder/suite"
    elif [ -e "$folder/suite" ]; then
        echo "there is a suite, and no library for it was installed"
        exit 1
    fi
    if ! grep -q -- -fstack-clash-protection "$folder/compile_commands.json"; then
        echo "the package doesn't give its users -fstack-clash-protection"
        exit 1
    fi
done

# The words that pkg-config prints are options, one each.
# shellcheck disable=SC2046
{
    "$CC" $(pkg-config --cflags raddle) "$here/consumer.c" -o "$work/shared" $(pkg-config --libs raddle)
    "$CC" $(pkg-config --cflags raddle) "$here/consumer.c" -o "$work/static" \
        $(pkg-config --static --libs raddle | sed 's/-lraddle/-l:libraddle.a/')
}
if [ $tests = yes ]; then
    # shellcheck disable=SC2046
    "$CC" $(pkg-config --cflags raddle-test) "$here/suite.c" -o "$work/suite" $(pkg-config --libs raddle-test)
    expect shared "$work/suite"
fi
expect shared "$work/shared"
expect static "$work/static"

if [ -x "$prefix/bin/raddle" ]; then
    "$prefix/bin/raddle" --help >/dev/null
fi
echo "installed, found and used: find_package and pkg-config, static and shared, with tests: $tests"
