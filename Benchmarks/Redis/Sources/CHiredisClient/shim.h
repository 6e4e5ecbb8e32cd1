#ifndef BUSBAR_CHIREDISCLIENT_SHIM_H
#define BUSBAR_CHIREDISCLIENT_SHIM_H

#include <hiredis/hiredis.h>

#endif
