// hiredis as a codec only: its reader turns bytes into replies. Sockets and commands are not its business here.
// Why no pkgConfig in the manifest: hiredis.pc carries a flag that SwiftPM refuses with a warning.
#ifndef BUSBAR_CHIREDIS_SHIM_H
#define BUSBAR_CHIREDIS_SHIM_H

#include <hiredis/hiredis.h>

#endif
